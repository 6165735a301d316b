package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// humanBytes is a size for people: 1536 is "1.5 KiB".
func humanBytes(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), "KMGTPE"
	i := -1
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}

// humanSeconds is a time span for people, in two units: "2d 3h".
func humanSeconds(n uint64) string {
	switch {
	case n < 60:
		return fmt.Sprintf("%ds", n)
	case n < 3600:
		return fmt.Sprintf("%dm %ds", n/60, n%60)
	case n < 86400:
		return fmt.Sprintf("%dh %dm", n/3600, n%3600/60)
	}
	return fmt.Sprintf("%dd %dh", n/86400, n%86400/3600)
}

// humanCount groups a large number by thousands: 1,234,567.
func humanCount(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percent(part, whole uint64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// humanStat is the reading beside a raw statistic; "" if the number is clear as it is.
func humanStat(name, value string) string {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return ""
	}
	switch {
	case name == "time":
		return time.Unix(int64(min(n, 1<<40)), 0).UTC().Format("2006-01-02 15:04:05 UTC")
	case name == "uptime", strings.HasSuffix(name, "age"), strings.HasSuffix(name, "evicted_time"), name == "idle_timeout":
		if n < 60 {
			return ""
		}
		return humanSeconds(n)
	case isBytes(name):
		if n < 1024 {
			return ""
		}
		return humanBytes(n)
	case n >= 10000 && name != "pid" && !strings.HasSuffix(name, "port"):
		return humanCount(n)
	}
	return ""
}

// isBytes says whether a statistic counts bytes.
func isBytes(name string) bool {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	switch name {
	case "bytes", "bytes_read", "bytes_written", "limit_maxbytes", "maxbytes", "hash_bytes", "item_size_max",
		"chunk_size", "slab_chunk_max", "total_malloced", "mem_requested", "watcher_logbuf_size",
		"worker_logbuf_size", "read_buf_mem_limit", "response_obj_bytes", "read_buf_bytes", "read_buf_bytes_free":
		return true
	}
	return strings.HasPrefix(name, "mem_")
}

// jsonValue is a statistic as a JSON number where it is one.
func jsonValue(value string) any {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(value, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(value, 64); err == nil && !strings.ContainsAny(value, "xXnNiI_pP") {
		return f
	}
	return value
}

// parseTTL reads --ttl: seconds or a duration like 10m, 36h, 7d. The result is
// an exptime of the protocol: beyond thirty days it has to be a date.
func parseTTL(text string, now time.Time) (int64, error) {
	if text == "" || text == "0" || text == "never" {
		return 0, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		var d time.Duration
		if days, ok := strings.CutSuffix(text, "d"); ok {
			var n float64
			n, err = strconv.ParseFloat(days, 64)
			d = time.Duration(n * float64(24*time.Hour))
		} else {
			d, err = time.ParseDuration(text)
		}
		if err == nil && d > 0 && d < time.Second {
			d = time.Second // the server counts whole seconds
		}
		seconds = int64(d / time.Second)
	}
	const thirtyDays = 30 * 24 * 3600
	switch {
	case err != nil || seconds < 0 || seconds > 100*365*24*3600:
		return 0, fail(exitUsage, "%q is not a time to live: give seconds, or 90s, 10m, 36h, 7d, or never", text)
	case seconds > thirtyDays:
		seconds += now.Unix()
	}
	return seconds, nil
}
