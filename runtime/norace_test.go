//go:build !race

package runtime

// Racing: the race detector is on.
const Racing = false
