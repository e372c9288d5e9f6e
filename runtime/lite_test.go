package runtime_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/tflite"
	"github.com/edgerun/edgerun/runtime"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

// liteModel is a small TFLite model with inputs and what LiteRT's kernels make of them.
type liteModel struct {
	Name  string
	Model []byte
	Runs  []struct{ In, Out map[string]*optest.Value }
}

func liteModels(t testing.TB, name string) []liteModel {
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []liteModel
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var m liteModel
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	if s.Err() != nil || len(list) == 0 {
		t.Fatalf("%d models: %v", len(list), s.Err())
	}
	return list
}

func liteSession(t testing.TB, data []byte, o tflite.Options) (*runtime.Model, *runtime.Session) {
	t.Helper()
	g, err := tflite.Import(data, o)
	if err == nil {
		err = model.Verify(g)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.New(g, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.NewSession(runtime.SessionOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return m, s
}

// flat is a name as the recorded outputs have it.
func flat(name string) string { return strings.NewReplacer("/", "_", ":", "_").Replace(name) }

// TestLiteModels runs each model twice, so that nothing is left of a run.
func TestLiteModels(t *testing.T) {
	for _, m := range liteModels(t, "lite.jsonl") {
		t.Run(m.Name, func(t *testing.T) {
			net, s := liteSession(t, m.Model, tflite.Options{})
			for range 2 {
				for _, r := range m.Runs {
					checkLite(t, net, s, r.In, r.Out)
				}
			}
		})
	}
}

// TestLiteSteps carries a variable from run to run, as LiteRT does within itself; without that each run begins anew.
func TestLiteSteps(t *testing.T) {
	for _, m := range liteModels(t, "lite_steps.jsonl") {
		net, s := liteSession(t, m.Model, tflite.Options{})
		for range 2 {
			checkLite(t, net, s, m.Runs[0].In, m.Runs[0].Out)
		}
		net, s = liteSession(t, m.Model, tflite.Options{ExposeStates: true})
		if len(net.Inputs()) != 2 || len(net.Outputs()) != 2 || net.Outputs()[1].Name != net.Inputs()[1].Name+".next" {
			t.Fatalf("%s: inputs %v, outputs %v", m.Name, net.Inputs(), net.Outputs())
		}
		state := tensor.New(tensor.F32, net.Inputs()[1].Shape)
		for i := range tensor.Of[float32](state) {
			tensor.Of[float32](state)[i] = .5 // as the model sets it
		}
		for k, r := range m.Runs {
			x, err := r.In[net.Inputs()[0].Name].Tensor()
			if err != nil {
				t.Fatal(err)
			}
			y, next := &tensor.Tensor{}, &tensor.Tensor{}
			if err := s.Run(context.Background(), []*tensor.Tensor{x, state}, []*tensor.Tensor{y, next}); err != nil {
				t.Fatal(err)
			}
			want, err := r.Out[flat(net.Outputs()[0].Name)].Tensor()
			if err != nil {
				t.Fatal(err)
			}
			if why := apart(y, want, 0); why != "" {
				t.Errorf("%s: step %d %s", m.Name, k, why)
			}
			state = next
		}
	}
}

func TestReadStates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.tflite")
	if err := os.WriteFile(path, liteModels(t, "lite_steps.jsonl")[0].Model, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, expose := range []bool{false, true} {
		src, err := runtime.Read(path, runtime.ReadOptions{ExposeStates: expose})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(src.Graph.Inputs); n == 2 != expose {
			t.Errorf("%d inputs, states exposed: %v", n, expose)
		}
	}
}

// TestDamagedLiteModels: a model in which a byte was changed is read or refused, soon, and what is read can be verified.
func TestDamagedLiteModels(t *testing.T) {
	step := 11
	if testing.Short() {
		step = 97
	}
	for _, m := range liteModels(t, "lite.jsonl") {
		b := bytes.Clone(m.Model)
		for i := 0; i < len(b); i += step {
			old := b[i]
			for _, v := range []byte{0, 1, old + 1, old ^ 0x80, 0xff} {
				b[i] = v
				if g, err := tflite.Import(b, tflite.Options{MaxTensorBytes: 1 << 20}); err == nil {
					model.Verify(g) //nolint:errcheck
				}
			}
			b[i] = old
		}
	}
}

func checkLite(t *testing.T, m *runtime.Model, s *runtime.Session, given, want map[string]*optest.Value) {
	t.Helper()
	var in, out []*tensor.Tensor
	for _, f := range m.Inputs() {
		x, err := given[f.Name].Tensor()
		if err != nil || x == nil {
			t.Fatalf("input %s: %v", f.Name, err)
		}
		in = append(in, x)
	}
	outputs := m.Outputs()
	for range outputs {
		out = append(out, &tensor.Tensor{})
	}
	if err := s.Run(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	for i, f := range outputs {
		w := want[flat(f.Name)]
		if w == nil {
			t.Errorf("output %s is not recorded", f.Name)
			continue
		}
		x, err := w.Tensor()
		if err != nil {
			t.Fatal(err)
		}
		if why := apart(out[i], x, w.Steps); why != "" {
			t.Errorf("output %s %s", f.Name, why)
		}
	}
}

// apart says how y differs from what it should be; "" where it is near enough.
func apart(y, want *tensor.Tensor, steps float64) string {
	if y.DType != want.DType || !y.Shape.Equal(want.Shape) {
		return "is " + y.String() + ", want " + want.String()
	}
	for i, s := range want.Str {
		if y.Str[i] != s {
			return "is " + y.Str[i] + ", want " + s
		}
	}
	if want.DType == tensor.F32 {
		for i, w := range tensor.Of[float32](want) {
			v := tensor.Of[float32](y)[i]
			if d := math.Abs(float64(v) - float64(w)); !(d <= optest.AbsTol+optest.RelTol*math.Abs(float64(w))) && v != w {
				return "is not near what is recorded"
			}
		}
		return ""
	}
	if want.DType == tensor.Bool && !bytes.Equal(y.Data, want.Data) {
		return "is not what is recorded"
	}
	if len(want.Str) > 0 || want.DType == tensor.Bool {
		return ""
	}
	a, err := y.Ints()
	if err != nil {
		return err.Error()
	}
	b, err := want.Ints()
	if err != nil {
		return err.Error()
	}
	for i, w := range b {
		if math.Abs(float64(a[i]-w)) > steps {
			return "is off by more than is permitted"
		}
	}
	return ""
}
