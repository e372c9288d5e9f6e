package pool

import (
	"bufio"
	"bytes"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Limits is what this process may use of the machine's processors.
type Limits struct {
	CPUs []CPU
	// Quota bounds the processors' time that control groups grant, in processors; 0 means no bound.
	Quota float64
}

// CPU is a processor that the process may run on.
type CPU struct {
	Number int
	// Capacity tells how fast it is, in the system's units: the fastest of a machine have the largest number.
	Capacity int
}

// Here reads the limits of this process: affinity, quota of its control groups (version 1 and 2, those around them included), and capacities.
func Here() Limits { return limits("/", affinity()) }

// Usable is the number of threads that a session uses unless it is told: see Limits.Threads. Where Go is held to fewer, it is that.
func Usable() int { return min(Here().Threads(), runtime.GOMAXPROCS(0)) }

// Threads is the number of threads worth starting. Processors of less than half the capacity of the fastest do not count, since all threads
// wait for the slowest in the end, and a thread beyond the quota would stand still for a part of each period, and the others with it; a tenth of the
// quota more is forgiven.
func (l Limits) Threads() int {
	most := 0
	for _, c := range l.CPUs {
		most = max(most, c.Capacity)
	}
	n := 0
	for _, c := range l.CPUs {
		if 2*c.Capacity >= most {
			n++
		}
	}
	if l.Quota > 0 {
		n = min(n, int(min(l.Quota*1.1, 1<<20)))
	}
	return max(n, 1)
}

// fullCapacity is the capacity of a processor that the system says nothing of.
const fullCapacity = 1024

// limits reads the limits of the given processors in the file system below root.
func limits(root string, cpus []int) Limits {
	l := Limits{Quota: quota(root)}
	for _, n := range cpus {
		c := CPU{n, fullCapacity}
		b, err := os.ReadFile(filepath.Join(root, "sys/devices/system/cpu/cpu"+strconv.Itoa(n)+"/cpu_capacity"))
		if v, e := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && e == nil && v > 0 {
			c.Capacity = v
		}
		l.CPUs = append(l.CPUs, c)
	}
	return l
}

// cgroupMount is where a hierarchy of control groups can be seen.
type cgroupMount struct{ inside, point string }

// quota is the least that the process's control groups, and those around them, grant; 0 where they grant all.
func quota(root string) float64 {
	b, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	v1, v2 := cgroupMounts(root)
	least := 0.0
	for line := range strings.Lines(string(b)) {
		// hierarchy:controllers:path
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		var at *cgroupMount
		read := quotaV2
		switch {
		case part[0] == "0" && part[1] == "":
			at = v2
		case slices.Contains(strings.Split(part[1], ","), "cpu"):
			at, read = v1, quotaV1
		}
		if at == nil {
			continue
		}
		// A group that lies outside of what is mounted is seen as its root.
		group := path.Clean("/" + part[2])
		if rest, ok := strings.CutPrefix(group, at.inside); ok && (at.inside == "/" || rest == "" || rest[0] == '/') {
			group = path.Clean("/" + rest)
		} else {
			group = "/"
		}
		for {
			if q := read(filepath.Join(root, at.point, group)); q > 0 && (least == 0 || q < least) {
				least = q
			}
			if group == "/" {
				break
			}
			group = path.Dir(group)
		}
	}
	return least
}

// cgroupMounts finds the hierarchy of the controller cpu, version 1, and that of version 2; nil where there is none.
func cgroupMounts(root string) (v1, v2 *cgroupMount) {
	b, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil, nil
	}
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		// id parent device root mount-point options [optional ...] - type source super-options
		before, after, ok := strings.Cut(s.Text(), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 3 {
			continue
		}
		m := &cgroupMount{unescape(f[3]), unescape(f[4])}
		switch {
		case g[0] == "cgroup2" && v2 == nil:
			v2 = m
		case g[0] == "cgroup" && v1 == nil && slices.Contains(strings.Split(g[2], ","), "cpu"):
			v1 = m
		}
	}
	return v1, v2
}

// unescape reads a path of mountinfo, where blanks are written as octal numbers.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// quotaV2 reads "quota period" or "max period", in microseconds; 0 where there is no bound.
func quotaV2(dir string) float64 {
	b, err := os.ReadFile(filepath.Join(dir, "cpu.max"))
	f := strings.Fields(string(b))
	if err != nil || len(f) != 2 {
		return 0
	}
	return share(f[0], f[1])
}

func quotaV1(dir string) float64 {
	q, err1 := os.ReadFile(filepath.Join(dir, "cpu.cfs_quota_us"))
	p, err2 := os.ReadFile(filepath.Join(dir, "cpu.cfs_period_us"))
	if err1 != nil || err2 != nil {
		return 0
	}
	return share(strings.TrimSpace(string(q)), strings.TrimSpace(string(p)))
}

func share(quota, period string) float64 {
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err1 != nil || err2 != nil || !(q > 0) || !(p > 0) {
		return 0
	}
	return q / p
}

// all numbers as many processors as Go counts.
func all() []int {
	list := make([]int, runtime.NumCPU())
	for i := range list {
		list[i] = i
	}
	return list
}
