package persist

import (
	"encoding/hex"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// System is the clock of the machine.
var System Clock = systemClock{}

type systemClock struct{}

func (systemClock) World() Stamp {
	s := Stamp{WallNs: time.Now().UnixNano()}
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return s
	}
	s.BootNs = ts.Nano()
	if text, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		id, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
		if err == nil && len(id) == len(s.Boot) {
			copy(s.Boot[:], id)
		}
	}
	return s
}
