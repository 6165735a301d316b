//go:build !linux

package persist

import "errors"

// memoryFile is for Linux only: elsewhere no file system is known to keep the
// memory of a killed process.
type memoryFile struct {
	mem      []byte
	volatile bool
}

type oldMemory struct{ mem []byte }

var (
	errNoArena = errors.New("item memory in a file needs Linux")
	errNoSpace = errNoArena
)

func openOldMemory(string) (oldMemory, error) { return oldMemory{}, errNoArena }
func (o *oldMemory) close() error             { return nil }

func openMemoryFile(string) (*memoryFile, error) { return nil, errNoArena }

func (m *memoryFile) size() (int64, error)                    { return 0, errNoArena }
func (m *memoryFile) resize(int64) error                      { return errNoArena }
func (m *memoryFile) clear() error                            { return errNoArena }
func (m *memoryFile) replace(string) error                    { return errNoArena }
func (m *memoryFile) detach(string, int64) (oldMemory, error) { return oldMemory{}, errNoArena }
func (m *memoryFile) remap(int64) error                       { return errNoArena }
func (m *memoryFile) hugePages() bool                         { return false }
func (m *memoryFile) onDisk() bool                            { return false }
func (m *memoryFile) sync() error                             { return errNoArena }
func (m *memoryFile) close() error                            { return errNoArena }

func isArena(string) bool { return false }

func openArenaToRead(string) (*memoryFile, error) { return nil, errNoArena }
