package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/runtime"
)

// cachedModel has weights that are packed, scaled and turned by passes, and read as they are, strings, a subgraph and quantised values.
const cachedModel = `graph main(x: f32[n,3,16,16], i: i64[2]) -> (y, z, s, q) {
  const w: f32[40,3,3,3]{0.5, ...}
  const scale: f32[40]{1.5, ...}
  const shift: f32[40]{0.25, ...}
  const table: f32[3000,7]{0.125, ...}
  const names: string[3]{"a", "b", "ü"}
  const m: f32[40,200]{0.75, ...}
  const one: f32[]{0.25}
  const zero: u8[]{128}
  c = Conv(x, w) {pads=[1,1,1,1]} : f32[n,40,16,16]
  b = BatchNormalization(c, scale, shift, shift, scale) : f32[n,40,16,16]
  r = Relu(b)
  p = GlobalAveragePool(r) : f32[n,40,1,1]
  f = Flatten(p) : f32[n,40]
  y = MatMul(f, m) : f32[n,200]
  z = Gather(table, i) : f32[2,7]
  s = Gather(names, i) : string[2]
  k = QuantizeLinear(f, one, zero)
  q = If(no: bool[]{true}) {then_branch=graph () -> (t) {
    t = DequantizeLinear(k, one, zero)
  }, else_branch=graph () -> (u) {
    u = Neg(f)
  }}
}`

// writeModel writes the model as an unsigned .edge file.
func writeModel(t *testing.T, text string) string {
	t.Helper()
	g, err := model.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.edge")
	var b bytes.Buffer
	if err := container.Write(&b, &container.Model{Name: "m", Graph: g, Labels: []string{"one", "two"}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var anyone = runtime.ReadOptions{AllowUnsigned: true}

// results loads and runs the model on fixed inputs, batches of 1 and 3, and says whether the cache gave it.
func results(t *testing.T, path string, o runtime.Options) (out []*tensor.Tensor, cached bool) {
	t.Helper()
	src, m, err := runtime.Load(path, anyone, o)
	if err != nil {
		t.Fatal(err)
	}
	if src.Contents == nil || len(src.Contents.Labels) != 2 || src.Precision.String() != "int8" {
		t.Errorf("the file's contents are %+v, its precision %v", src.Contents, src.Precision)
	}
	s, err := m.NewSession(runtime.SessionOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, n := range []int{1, 3} {
		x := tensor.New(tensor.F32, tensor.Shape{n, 3, 16, 16})
		for i, v := range tensor.Of[float32](x) {
			tensor.Of[float32](x)[i] = v + float32(i%37)/8 - 2
		}
		list := make([]*tensor.Tensor, len(m.Outputs()))
		for i := range list {
			list[i] = &tensor.Tensor{}
		}
		if err := s.Run(context.Background(), []*tensor.Tensor{x, tensor.From([]int64{2, 1})}, list); err != nil {
			t.Fatal(err)
		}
		out = append(out, list...)
	}
	return out, src.Graph == nil
}

func equalResults(a, b []*tensor.Tensor) bool {
	for i := range a {
		if !a[i].Shape.Equal(b[i].Shape) || !bytes.Equal(a[i].Data, b[i].Data) || !reflect.DeepEqual(a[i].Str, b[i].Str) {
			return false
		}
	}
	return len(a) == len(b)
}

func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestCacheGivesTheSame(t *testing.T) {
	path, dir := writeModel(t, cachedModel), t.TempDir()
	want, _ := results(t, path, runtime.Options{})
	for i := range 3 {
		got, cached := results(t, path, runtime.Options{Cache: dir})
		if !equalResults(got, want) {
			t.Errorf("load %d: other results", i)
		}
		if !cached {
			t.Errorf("load %d: the cache is not used", i)
		}
	}
	if len(files(t, dir, "*")) != 2 || len(files(t, dir, "graph-*")) != 1 || len(files(t, dir, "packed-*")) != 1 {
		t.Errorf("files: %v", files(t, dir, "*"))
	}
	_, a, err := runtime.Load(path, anyone, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, b, err := runtime.Load(path, anyone, runtime.Options{Cache: dir})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a.Inputs(), b.Inputs()) || !reflect.DeepEqual(a.Outputs(), b.Outputs()) || !reflect.DeepEqual(a.Meta(), b.Meta()) {
		t.Errorf("inputs %v and %v, outputs %v and %v", a.Inputs(), b.Inputs(), a.Outputs(), b.Outputs())
	}
	shapes := []tensor.Shape{{2, 3, 16, 16}, {2}}
	p, err1 := a.Plan(shapes)
	q, err2 := b.Plan(shapes)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if p.ID != q.ID {
		t.Errorf("plans %s and %s", p.ID, q.ID)
	}
	// What changes the graph has a file of its own.
	results(t, path, runtime.Options{Cache: dir, MaxMemory: 1 << 30})
	results(t, path, runtime.Options{Cache: dir, SkipPasses: []string{"fuse-clamp"}})
	if n := len(files(t, dir, "graph-*")); n != 3 {
		t.Errorf("%d files of graphs", n)
	}
}

func TestDamagedCacheIsWrittenAnew(t *testing.T) {
	path, dir := writeModel(t, cachedModel), t.TempDir()
	want, _ := results(t, path, runtime.Options{Cache: dir})
	damage := map[string]func(b []byte) []byte{
		"emptied":   func([]byte) []byte { return nil },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"changed": func(b []byte) []byte {
			b[len(b)-20]++
			return b
		},
		"zeroed": func(b []byte) []byte {
			clear(b[len(b)/2:])
			return b
		},
	}
	for what, f := range damage {
		for _, name := range files(t, dir, "*") {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, f(bytes.Clone(b)), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, _ := results(t, path, runtime.Options{Cache: dir}); !equalResults(got, want) {
				t.Errorf("%s %s: other results", filepath.Base(name), what)
			}
			if again, err := os.ReadFile(name); err != nil || len(again) != len(b) {
				t.Errorf("%s %s: written anew with %d bytes, were %d: %v", filepath.Base(name), what, len(again), len(b), err)
			}
		}
	}
	// One file under another's name.
	list := files(t, dir, "*")
	b, err := os.ReadFile(list[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := results(t, path, runtime.Options{Cache: dir}); !equalResults(got, want) {
		t.Error("a file under another name: other results")
	}
}

// A folder that cannot be used, or has no room, is as good as none.
func TestCacheThatCannotBeUsed(t *testing.T) {
	path := writeModel(t, cachedModel)
	want, _ := results(t, path, runtime.Options{})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	readOnly := t.TempDir()
	if err := os.Chmod(readOnly, 0o500); err != nil {
		t.Fatal(err)
	}
	for what, o := range map[string]runtime.Options{
		"a file":                  {Cache: file},
		"below a file":            {Cache: filepath.Join(file, "x")},
		"a folder open to all":    {Cache: open},
		"a folder to be read":     {Cache: readOnly},
		"no room":                 {Cache: t.TempDir(), CacheLimit: 1},
		"no room for the weights": {Cache: t.TempDir(), CacheLimit: 100_000},
	} {
		if got, _ := results(t, path, o); !equalResults(got, want) {
			t.Errorf("%s: other results", what)
		}
	}
	if len(files(t, open, "*")) != 0 {
		t.Error("files were written where all may write")
	}
}

func TestCacheOfManyAtOnce(t *testing.T) {
	path, dir := writeModel(t, cachedModel), t.TempDir()
	want, _ := results(t, path, runtime.Options{})
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for range 3 {
				if got, _ := results(t, path, runtime.Options{Cache: dir}); !equalResults(got, want) {
					t.Error("other results")
				}
			}
		})
	}
	wg.Wait()
	if n := len(files(t, dir, "*")); n != 2 {
		t.Errorf("%d files", n)
	}
}

// The cache spares no signature, and is asked for the content that was verified.
func TestCacheAndSignatures(t *testing.T) {
	dir := t.TempDir()
	path := writeModel(t, cachedModel)
	results(t, path, runtime.Options{Cache: dir})
	if _, _, err := runtime.Load(path, runtime.ReadOptions{}, runtime.Options{Cache: dir}); !errors.Is(err, container.ErrSignature) {
		t.Errorf("an unsigned file that is in the cache: %v", err)
	}
	// Another model in the same place.
	other := writeModel(t, strings.Replace(cachedModel, "{0.75, ...}", "{0.5, ...}", 1))
	want, _ := results(t, other, runtime.Options{})
	b, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := results(t, path, runtime.Options{Cache: dir}); !equalResults(got, want) {
		t.Error("the cache gives what stood in the file before")
	}
}

// Models of all kinds give the same through the cache.
func TestCacheOfSharedModels(t *testing.T) {
	if runtime.Racing {
		t.Skip("takes long with the race detector")
	}
	root, dir := filepath.Join(testdata.Dir(t), "models"), t.TempDir()
	for _, name := range []string{"face_rfb320.onnx", "magika.onnx", "mobilenet_v2_ptq.tflite", "mlperf_tiny_kws_fp32.tflite", "mlperf_tiny_vww_int8.tflite"} {
		path := filepath.Join(root, name)
		if _, err := os.Stat(path); err != nil {
			t.Logf("%s is not there", name)
			continue
		}
		var want []*tensor.Tensor
		for i, o := range []runtime.Options{{}, {Cache: dir}, {Cache: dir}} {
			_, m, err := runtime.Load(path, runtime.ReadOptions{}, o)
			if err != nil {
				t.Fatal(err)
			}
			s, err := m.NewSession(runtime.SessionOptions{Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			in, out := inputs(m), outputs(m)
			if err := s.Run(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if i == 0 {
				want = out
			} else if !equalResults(out, want) {
				t.Errorf("%s: load %d gives other results", name, i)
			}
		}
	}
}
