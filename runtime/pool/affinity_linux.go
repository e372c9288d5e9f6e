package pool

import "golang.org/x/sys/unix"

// affinity lists the processors that this process may run on.
func affinity() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return all()
	}
	var list []int
	for i := range 64 * len(set) {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return all()
	}
	return list
}
