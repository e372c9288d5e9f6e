package main

import "golang.org/x/sys/unix"

// peakRSS is the largest resident size that this process has had, in bytes.
func peakRSS() (int64, bool) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0, false
	}
	return int64(u.Maxrss) << 10, true
}
