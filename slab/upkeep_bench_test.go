package slab

import (
	"fmt"
	"testing"
)

// BenchmarkCrawl looks at live items; it tells the time per item.
func BenchmarkCrawl(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, _ := benchStore(b, n)
			b.ResetTimer()
			for looked := 0; looked < b.N; looked += crawlStepCost {
				s.Crawl(AllClasses)
				s.crawlStep(1000)
			}
		})
	}
}

// BenchmarkReap has the crawler take items out that died in one second; it tells
// the time per item.
func BenchmarkReap(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, w := benchStore(b, n)
			value := make([]byte, 100)
			var k benchKey
			for reaped := 0; reaped < b.N; {
				b.StopTimer()
				for i := range n {
					w.Set(k.key(s, i), &SetOp{Exptime: s.Now() + 1}, value)
				}
				s.Tick(s.Now() + 1)
				s.crawlDue(s.Now())
				b.StartTimer()
				for s.Stats().CrawlerRuns {
					s.crawlStep(s.Now())
				}
				reaped += n
			}
		})
	}
}

// BenchmarkWalk visits every item; it tells the time per item.
func BenchmarkWalk(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, _ := benchStore(b, n)
			b.ResetTimer()
			var c Cursor
			for seen := 0; seen < b.N; {
				if s.Walk(&c, AllClasses, 1000, func(Item) { seen++ }) {
					c = Cursor{}
				}
			}
		})
	}
}

// BenchmarkMovePage copies the items of a page to another; it tells the time
// per page.
func BenchmarkMovePage(b *testing.B) {
	s, _ := benchStore(b, 200_000)
	class := 0
	s.Walk(new(Cursor), AllClasses, 1, func(it Item) { class = int(it.Class()) })
	b.ResetTimer()
	for range b.N {
		if r := s.Reassign(class, 0); r != ReassignOK {
			b.Fatal(r)
		}
		for s.move.mu.active {
			s.moveStep()
		}
	}
}
