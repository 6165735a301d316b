package cluster

import (
	"fmt"
	"sort"
)

// A Move is a share of keys that go from one slot to another.
type Move struct {
	From, To string
	Share    float64 // of all keys, from 0 to 1
}

// Moved estimates what share of keys has another owner in b than in a, and from
// where to where they go, the largest share first. It looks at n keys,
// "key:0", "key:1" and so on; owners are told apart by the names of their slots.
func Moved(a, b *Map, n int) (share float64, moves []Move) {
	from, to := a.Slots(), b.Slots()
	counts := map[[2]string]int{}
	moved := 0
	var key []byte
	for i := range n {
		key = fmt.Appendf(key[:0], "key:%d", i)
		old, now := from[a.Owner(key)].Name, to[b.Owner(key)].Name
		if old != now {
			counts[[2]string{old, now}]++
			moved++
		}
	}
	for pair, count := range counts {
		moves = append(moves, Move{From: pair[0], To: pair[1], Share: float64(count) / float64(n)})
	}
	sort.Slice(moves, func(i, j int) bool {
		x, y := moves[i], moves[j]
		if x.Share != y.Share {
			return x.Share > y.Share
		}
		return x.From+x.To < y.From+y.To
	})
	return float64(moved) / float64(n), moves
}
