package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/knob"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/runtime"
	"github.com/edgerun/edgerun/runtime/opt"
	"github.com/edgerun/edgerun/runtime/plan"
)

// modelFlags are the flags of every command that loads a model.
type modelFlags struct {
	precision     string
	threads       int
	maxMemory     string
	allowUnsigned bool
	keys          []string
	skip          []string
	states        bool
	keepInputs    bool // for observers that evaluate layers once more
}

func (m *modelFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.precision, "precision", "", "`P`: fp32, fp32w, fp16, bf16 or int8 (default: what is stored)")
	f.IntVar(&m.threads, "threads", 0, "`N` threads; 0 is what this machine can use")
	f.StringVar(&m.maxMemory, "max-memory", "4GiB", "limit on the memory of tensors, a `SIZE` as 512MiB")
	f.BoolVar(&m.allowUnsigned, "allow-unsigned", false, "load .edge files without checking signatures")
	f.StringArrayVar(&m.keys, "key", nil, "`FILE.pub.pem` of a key to trust (repeatable; default: those in $EDGERUN_KEYS)")
	f.BoolVar(&m.states, "states", false, "make variables of a .tflite file inputs NAME and outputs NAME.next")
	f.StringSliceVar(&m.skip, "skip-pass", nil, "leave out a graph `PASS`, for debugging")
	completeFlag(cmd, "precision", precisions...)
	completeFlag(cmd, "skip-pass", passNames()...)
}

// precisions are the values of --precision.
var precisions = []string{"fp32", "fp32w", "fp16", "bf16", "int8"}

func passNames() []string {
	var list []string
	for _, p := range opt.AllPasses() {
		list = append(list, p.Name)
	}
	return append(list, plan.StagesPass, plan.PartsPass)
}

// check finds wrong values of the flags, before anything is read.
func (m *modelFlags) check() error {
	if _, err := num.Parse(m.precision); err != nil && m.precision != "" {
		return usagef("--precision %q: want %s", m.precision, strings.Join(precisions, ", "))
	}
	if m.threads < 0 || m.threads > runtime.MaxThreads {
		return usagef("--threads %d: want 0 to %d", m.threads, runtime.MaxThreads)
	}
	for _, name := range m.skip {
		if !slices.Contains(passNames(), name) {
			return usagef("--skip-pass %q: the passes are %s", name, strings.Join(passNames(), ", "))
		}
	}
	// Where it is wrong, kernels are chosen as if it were not set.
	if _, err := cpu.Detect().Mask(knob.CPU.Value()); err != nil {
		return usagef("%s: %w", knob.CPU.Name, err)
	}
	return nil
}

// loaded is a model with what its file says about it.
type loaded struct {
	*runtime.Source
	Model *runtime.Model
}

// read reads the file.
func (m *modelFlags) read(path string) (*runtime.Source, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	limit, err := parseSize(m.maxMemory)
	if err != nil {
		return nil, usagef("--max-memory: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory, not a model", path)
	}
	return runtime.Read(path, m.readOptions(limit))
}

// prepare makes what was read ready to run.
func (m *modelFlags) prepare(src *runtime.Source) (*loaded, error) {
	o, err := m.options()
	if err != nil {
		return nil, err
	}
	model, err := runtime.New(src.Graph, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src.Path, err)
	}
	return &loaded{src, model}, nil
}

// openFresh is read and prepare.
func (m *modelFlags) openFresh(path string) (*loaded, error) {
	src, err := m.read(path)
	if err != nil {
		return nil, err
	}
	return m.prepare(src)
}

// open is read and prepare by way of the cache, so that the graph as it was read may be missing.
func (m *modelFlags) open(path string) (*loaded, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	o, err := m.options()
	if err != nil {
		return nil, err
	}
	if o.Cache = knob.Cache.Value(); o.Cache != "" {
		limit, err := parseSize(knob.CacheSize.Value())
		if err != nil {
			return nil, usagef("%s: %w", knob.CacheSize.Name, err)
		}
		o.CacheLimit = int64(limit)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory, not a model", path)
	}
	src, model, err := runtime.Load(path, m.readOptions(o.MaxMemory), o)
	if err != nil && src != nil { // it was read
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	return &loaded{src, model}, nil
}

func (m *modelFlags) options() (runtime.Options, error) {
	limit, err := parseSize(m.maxMemory)
	if err != nil {
		return runtime.Options{}, usagef("--max-memory: %w", err)
	}
	return runtime.Options{MaxMemory: limit, SkipPasses: m.skip, KeepInputs: m.keepInputs}, nil
}

func (m *modelFlags) readOptions(limit int) runtime.ReadOptions {
	return runtime.ReadOptions{Precision: m.precision, AllowUnsigned: m.allowUnsigned, Keys: m.keys, KeyDir: knob.Keys.Value(), MaxMemory: limit, ExposeStates: m.states}
}

// parseSize reads a number of bytes as in 512MiB, 4GiB or 1000000.
func parseSize(s string) (int, error) {
	unit := 1
	num := strings.TrimSpace(s)
	for _, u := range []struct {
		suffix string
		size   int
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}} {
		if strings.HasSuffix(num, u.suffix) {
			num, unit = strings.TrimSpace(strings.TrimSuffix(num, u.suffix)), u.size
			break
		}
	}
	v, err := strconv.ParseFloat(num, 64)
	if err != nil || !(v > 0) || v*float64(unit) > 1<<60 {
		return 0, fmt.Errorf("%q is no size; write 512MiB or 4GiB", s)
	}
	return int(v * float64(unit)), nil
}
