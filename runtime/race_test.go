//go:build race

package runtime

// Racing: the race detector is on. It sees what it can see in small models, and takes minutes for large ones.
const Racing = true
