// Package cpu names the CPU features that kernels need and finds out which of them this machine has.
//
// Sets of features can be written down for any machine, so that the kernel table can be asked what another one would
// choose.
package cpu

import (
	"cmp"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"
	xcpu "golang.org/x/sys/cpu"
)

// Features is a set of CPU features.
type Features uint64

// The features that kernels ask for.
const (
	AVX2 Features = 1 << iota
	FMA
	F16C
	AVXVNNI
	AVX512 // F, BW, DQ and VL
	AVX512VNNI
	AVX512VBMI
	AVX512BF16
	NEON
	FP16
	DotProd
	FMLAL
	I8MM
	BF16
	SVE
)

var names = []struct {
	f    Features
	name string
	arch string
}{
	{AVX2, "avx2", "amd64"}, {FMA, "fma", "amd64"}, {F16C, "f16c", "amd64"}, {AVXVNNI, "avxvnni", "amd64"},
	{AVX512, "avx512", "amd64"}, {AVX512VNNI, "vnni", "amd64"}, {AVX512VBMI, "vbmi", "amd64"}, {AVX512BF16, "avx512bf16", "amd64"},
	{NEON, "neon", "arm64"}, {FP16, "fp16", "arm64"}, {DotProd, "dotprod", "arm64"}, {FMLAL, "fmlal", "arm64"},
	{I8MM, "i8mm", "arm64"}, {BF16, "bf16", "arm64"}, {SVE, "sve", "arm64"},
}

// Has reports whether all of need are in f.
func (f Features) Has(need Features) bool { return f&need == need }

// String lists the features, as in "avx2,fma".
func (f Features) String() string {
	var list []string
	for _, n := range names {
		if f&n.f != 0 {
			list = append(list, n.name)
		}
	}
	if list == nil {
		return "none"
	}
	return strings.Join(list, ",")
}

// Detect returns this machine's features.
func Detect() Features {
	var f Features
	set := func(have bool, x Features) {
		if have {
			f |= x
		}
	}
	switch runtime.GOARCH {
	case "amd64":
		c := &cpuid.CPU
		set(c.Supports(cpuid.AVX2), AVX2)
		set(c.Supports(cpuid.FMA3), FMA)
		set(c.Supports(cpuid.F16C), F16C)
		set(c.Supports(cpuid.AVXVNNI), AVXVNNI)
		set(c.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL), AVX512)
		set(c.Supports(cpuid.AVX512VNNI), AVX512VNNI)
		set(c.Supports(cpuid.AVX512VBMI), AVX512VBMI)
		set(c.Supports(cpuid.AVX512BF16), AVX512BF16)
	case "arm64":
		// Each of the two knows systems on which the other sees nothing.
		a, c := &xcpu.ARM64, &cpuid.CPU
		set(true, NEON)
		set(a.HasFPHP && a.HasASIMDHP || c.Supports(cpuid.FPHP, cpuid.ASIMDHP), FP16)
		set(a.HasASIMDDP || c.Supports(cpuid.ASIMDDP), DotProd)
		set(a.HasASIMDFHM || c.Supports(cpuid.FHM), FMLAL)
		set(a.HasI8MM || c.Supports(cpuid.I8MM), I8MM)
		set(c.Supports(cpuid.BF16), BF16)
		set(a.HasSVE || c.Supports(cpuid.SVE), SVE)
	}
	return f.closed()
}

// Name is what the CPU calls itself, or the architecture's name.
func Name() string {
	if s := strings.TrimSpace(cpuid.CPU.BrandName); s != "" {
		return s
	}
	return runtime.GOARCH
}

// closed drops features whose base is missing: no kernel for VNNI runs without AVX-512, for example.
func (f Features) closed() Features {
	if !f.Has(AVX2 | FMA) {
		f &^= AVX512 | AVX512VNNI | AVX512VBMI | AVX512BF16 | AVXVNNI | F16C
	}
	if !f.Has(AVX512) {
		f &^= AVX512VNNI | AVX512VBMI | AVX512BF16
	}
	return f
}

// Mask removes features by a list such as "-avx512,-vnni"; "-all" removes everything. The empty list changes nothing.
func (f Features) Mask(list string) (Features, error) {
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, ok := strings.CutPrefix(word, "-")
		if !ok {
			return 0, fmt.Errorf("CPU feature %q: only removing is possible, as in -%s", word, word)
		}
		if name == "all" {
			f = 0
			continue
		}
		x, err := parse(name)
		if err != nil {
			return 0, err
		}
		f &^= x
	}
	return f.closed(), nil
}

func parse(name string) (Features, error) {
	i := slices.IndexFunc(names, func(n struct {
		f    Features
		name string
		arch string
	}) bool {
		return n.name == name
	})
	if i < 0 {
		known := make([]string, len(names))
		for i, n := range names {
			known[i] = n.name
		}
		return 0, fmt.Errorf("unknown CPU feature %q; known are %s", name, strings.Join(known, ", "))
	}
	return names[i].f, nil
}

// Cores names machines whose kernels can be listed anywhere.
var Cores = map[string]struct {
	Arch     string
	Features Features
}{
	"cortex-a53":  {"arm64", NEON},
	"cortex-a72":  {"arm64", NEON},
	"cortex-a55":  {"arm64", NEON | FP16 | DotProd},
	"cortex-a76":  {"arm64", NEON | FP16 | DotProd},
	"cortex-a78":  {"arm64", NEON | FP16 | DotProd},
	"neoverse-v1": {"arm64", NEON | FP16 | DotProd | FMLAL | I8MM | BF16 | SVE},
	"haswell":     {"amd64", AVX2 | FMA | F16C},
	"alderlake":   {"amd64", AVX2 | FMA | F16C | AVXVNNI},
	"skylake-x":   {"amd64", AVX2 | FMA | F16C | AVX512},
	"icelake":     {"amd64", AVX2 | FMA | F16C | AVX512 | AVX512VNNI | AVX512VBMI},
	"zen5":        {"amd64", AVX2 | FMA | F16C | AVXVNNI | AVX512 | AVX512VNNI | AVX512VBMI | AVX512BF16},
}

// All is every feature of an architecture.
func All(arch string) Features {
	var f Features
	for _, n := range names {
		if n.arch == arch {
			f |= n.f
		}
	}
	return f
}

// Masks lists what to mask, as Mask reads it, so that a machine of an architecture with the features all chooses kernels as each of Cores does, as far as
// it can: from no features, which leaves plain Go, to all of them.
func Masks(arch string, all Features) []string {
	sets := []Features{0, all}
	for _, c := range Cores {
		if c.Arch == arch {
			sets = append(sets, (c.Features & all).closed())
		}
	}
	slices.SortFunc(sets, func(a, b Features) int {
		return cmp.Or(cmp.Compare(bits.OnesCount64(uint64(a)), bits.OnesCount64(uint64(b))), cmp.Compare(a, b))
	})
	var list []string
	for _, f := range slices.Compact(sets) {
		mask := ""
		if f == 0 {
			mask = "-all"
		} else if f != all {
			mask = "-" + strings.ReplaceAll((all&^f).String(), ",", ",-")
		}
		list = append(list, mask)
	}
	return list
}
