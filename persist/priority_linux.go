package persist

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// backgroundNice is how much a thread that only compresses and writes stands
// back behind the threads that serve.
const backgroundNice = 10

// standBack gives the calling goroutine a thread of its own, of low priority. It
// must hold no lock that others wait for. The thread ends with the goroutine:
// there is no way back to a higher priority.
func standBack() {
	runtime.LockOSThread()
	// What fails here costs some latency, nothing else.
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), backgroundNice)
}
