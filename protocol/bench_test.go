package protocol

import (
	"bytes"
	"strings"
	"testing"
)

// benchParse parses one request again and again, 16 of them in a buffer, as a
// pipelining client sends them. ns/op is per request.
func benchParse(b *testing.B, request string) {
	const pipeline = 16
	buf := bytes.Repeat([]byte(request), pipeline)
	p := Parser{InlineMax: 1 << 20}
	batch := new(Batch)
	b.ReportAllocs()
	for i := 0; i < b.N; i += pipeline {
		for rest := buf; len(rest) > 0; {
			n := p.Fill(rest, batch)
			if batch.Requests[0].Op == OpError {
				b.Fatal(batch.Requests[0].Err)
			}
			rest = rest[n:]
		}
	}
}

func BenchmarkParseGet(b *testing.B) {
	benchParse(b, "get memtier-12345678\r\n")
}

func BenchmarkParseSet(b *testing.B) {
	benchParse(b, "set memtier-12345678 0 0 32\r\n"+strings.Repeat("x", 32)+"\r\n")
}

// BenchmarkParseMultiGet is per get of 50 keys.
func BenchmarkParseMultiGet(b *testing.B) {
	benchParse(b, "get"+strings.Repeat(" memtier-12345678", 50)+"\r\n")
}

func BenchmarkParseMetaGet(b *testing.B) {
	benchParse(b, "mg memtier-12345678 v f t Oabc\r\n")
}

func BenchmarkParseMetaSet(b *testing.B) {
	benchParse(b, "ms memtier-12345678 32 T90 F1 q\r\n"+strings.Repeat("x", 32)+"\r\n")
}

func BenchmarkParseResponseValue(b *testing.B) {
	buf := []byte("VALUE memtier-12345678 0 32\r\n" + strings.Repeat("x", 32) + "\r\n")
	var p ResponseParser
	var r Response
	b.ReportAllocs()
	for b.Loop() {
		if n, err := p.Next(buf, &r); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkAppendValue(b *testing.B) {
	key := []byte("memtier-12345678")
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = AppendValueCAS(out[:0], key, 7, 32, 123456)
	}
}
