package pool

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// tree writes files below a new root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLimits(t *testing.T) {
	const (
		mount2 = "31 23 0:28 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		mount1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n" +
			"33 31 0:30 / /sys/fs/cgroup/cpu,cpuset rw - cgroup cgroup rw,cpuset,cpu\n"
	)
	for _, c := range []struct {
		name    string
		files   map[string]string
		quota   float64
		threads int // of eight equal processors
	}{
		{"nothing", nil, 0, 8},
		{"version 2 without a bound", map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mount2, "sys/fs/cgroup/cpu.max": "max 100000\n"}, 0, 8},
		{"version 2", map[string]string{"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": mount2, "sys/fs/cgroup/a/b/cpu.max": "250000 100000\n"}, 2.5, 2},
		{"a group around it", map[string]string{"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": mount2,
			"sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "390000 100000\n", "sys/fs/cgroup/cpu.max": "600000 100000\n"}, 3.9, 4},
		{"half a processor", map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mount2, "sys/fs/cgroup/cpu.max": "5000 10000"}, .5, 1},
		{"more than there are", map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mount2, "sys/fs/cgroup/cpu.max": "1600000 100000"}, 16, 8},
		{"a group outside of what is mounted", map[string]string{"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/cpu.max": "300000 100000",
			"proc/self/mountinfo": "31 23 0:28 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"}, 3, 3},
		{"a part that is mounted", map[string]string{"proc/self/cgroup": "0::/docker/1/x\n", "sys/fs/cgroup/x/cpu.max": "300000 100000",
			"proc/self/mountinfo": "31 23 0:28 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"}, 3, 3},
		{"a name that begins alike", map[string]string{"proc/self/cgroup": "0::/docker/12\n", "sys/fs/cgroup/2/cpu.max": "100000 100000",
			"proc/self/mountinfo": "31 23 0:28 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"}, 0, 8},
		{"version 1", map[string]string{"proc/self/cgroup": "5:memory:/a\n4:cpuset,cpu:/a\n2:cpuacct:/\n", "proc/self/mountinfo": mount1,
			"sys/fs/cgroup/cpu,cpuset/a/cpu.cfs_quota_us": "150000\n", "sys/fs/cgroup/cpu,cpuset/a/cpu.cfs_period_us": "100000\n"}, 1.5, 1},
		{"version 1 without a bound", map[string]string{"proc/self/cgroup": "4:cpuset,cpu:/\n", "proc/self/mountinfo": mount1,
			"sys/fs/cgroup/cpu,cpuset/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuset/cpu.cfs_period_us": "100000\n"}, 0, 8},
		{"both", map[string]string{"proc/self/cgroup": "4:cpuset,cpu:/\n0::/\n", "proc/self/mountinfo": mount1 + "40 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/cpu,cpuset/cpu.cfs_quota_us": "400000", "sys/fs/cgroup/cpu,cpuset/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/unified/cpu.max": "200000 100000"}, 2, 2},
		{"blanks in a path", map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": `31 23 0:28 / /a\040b rw - cgroup2 cgroup2 rw`,
			"a b/cpu.max": "500000 100000"}, 5, 5},
		{"nonsense", map[string]string{"proc/self/cgroup": "0::/\nx\n:::\n4:cpu:\n", "proc/self/mountinfo": "a b\n - \n" + mount2 + mount1, "sys/fs/cgroup/cpu.max": "NaN -1 x"}, 0, 8},
		{"numbers that are none", map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mount2, "sys/fs/cgroup/cpu.max": "NaN Inf"}, 0, 8},
	} {
		l := limits(tree(t, c.files), []int{0, 1, 2, 3, 4, 5, 6, 7})
		if l.Quota != c.quota || l.Threads() != c.threads {
			t.Errorf("%s: quota %g and %d threads, want %g and %d", c.name, l.Quota, l.Threads(), c.quota, c.threads)
		}
	}
}

func TestCapacities(t *testing.T) {
	files := map[string]string{}
	for i, c := range []string{"414\n", "414\n", "1024\n", "980\n", "x", "0"} {
		files["sys/devices/system/cpu/cpu"+string(rune('0'+i))+"/cpu_capacity"] = c
	}
	root := tree(t, files)
	for _, c := range []struct {
		cpus    []int
		threads int
	}{
		{[]int{0, 1, 2, 3}, 2}, // the fast ones
		{[]int{0, 1}, 2},       // only slow ones
		{[]int{1, 2}, 1},
		{[]int{3, 4, 5, 6}, 4}, // of which nothing is known
		{nil, 1},
	} {
		if n := limits(root, c.cpus).Threads(); n != c.threads {
			t.Errorf("processors %v: %d threads, want %d", c.cpus, n, c.threads)
		}
	}
}

func TestHere(t *testing.T) {
	l := Here()
	if n := Usable(); len(l.CPUs) == 0 || n < 1 || n > len(l.CPUs) || n > runtime.GOMAXPROCS(0) {
		t.Errorf("%d threads of %+v", n, l)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if n := Usable(); n != 1 {
		t.Errorf("%d threads where Go has one", n)
	}
}
