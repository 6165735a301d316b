package server

import "github.com/holdfast-cache/holdfast/protocol"

// adminState is what the administrative commands keep in the Node.
type adminState struct{}

// initAdmin prepares adminState.
func (n *Node) initAdmin() {}

// admin carries out every op from OpFlushAll on. No worker lock is held.
func (x *executor) admin(s *Session, r *protocol.Request) {
	s.Out.Buf = append(s.Out.Buf, "ERROR\r\n"...)
}
