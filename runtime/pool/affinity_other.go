//go:build !linux

package pool

func affinity() []int { return all() }
