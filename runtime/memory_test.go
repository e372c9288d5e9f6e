package runtime_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime"
)

// repeated writes a line n times; %[1]d is its number and %[2]d that before.
func repeated(n int, line string) string {
	var b strings.Builder
	for i := range n {
		if strings.Contains(line, "%") {
			fmt.Fprintf(&b, line+"\n", i+1, i)
		} else {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// Small models that ask for much: opening and running them stays within the limit, or ends in the error that says so.
func TestSmallModelsTakeNoMoreThanTheLimit(t *testing.T) {
	const limit = 16 << 20
	for _, c := range []struct {
		name, text string
		fails      bool
	}{
		{"a large constant", `graph main(x: f32[1]) -> (y) {
  w = ConstantOfShape(i64[2]{100000, 100000})
  y = ReduceMax(w)
}`, true},
		{"many constants", `graph main(x: f32[1]) -> (y100) {
  y0 = Identity(x)
` + repeated(100, "  w%[1]d = ConstantOfShape(i64[1]{1000000}) {value=f32[1]{%[1]d}}\n  m%[1]d = ReduceMax(w%[1]d)\n  y%[1]d = Add(y%[2]d, m%[1]d)") + `}`, false},
		{"constants that are all kept", `graph main(x: f32[1]) -> (y100) {
  y0 = Identity(x)
` + repeated(100, "  w%[1]d = ConstantOfShape(i64[1]{100000}) {value=f32[1]{%[1]d}}\n  y%[1]d = Add(y%[2]d, w%[1]d)") + `}`, false},
		{"strings that double", `graph main(x: f32[1]) -> (y40) {
  y0 = Identity(string[1]{"0123456789"})
` + repeated(40, "  y%[1]d = StringConcat(y%[2]d, y%[2]d)") + `}`, true},
		{"computed strings that double", `graph main(x: f32[1]) -> (y40) {
  y0 = Cast(x) {to=8}
` + repeated(40, "  y%[1]d = StringConcat(y%[2]d, y%[2]d)") + `}`, true},
		{"strings that are broadcast", `graph main(x: f32[1]) -> (y) {
  s = Cast(x) {to=8}
  a = Expand(s, i64[2]{3000, 1})
  b = Expand(s, i64[2]{1, 300})
  y = StringConcat(a, b)
}`, true},
		{"scores of attention", `graph main(x: f32[1]) -> (y) {
  q = Expand(x, i64[4]{1, 10000, 1, 1})
  k = Expand(x, i64[4]{1, 1, 10000, 1})
  y = Attention(q, k, k)
}`, true},
		{"between the stages of a resize", `graph main(x: f32[1]) -> (y) {
  a = Expand(x, i64[4]{1, 1, 1, 60000})
  y = Resize(a, _, _, i64[4]{1, 1, 60000, 1}) {mode="linear"}
}`, true},
		{"a loop that collects", `graph main(x: f32[1000]) -> (a, b) {
  a, b = Loop(i64[]{100000000}, _, x) {body=graph (i: i64[], k: bool[], v: f32[1000]) -> (k, v, v) {
  }}
}`, true},
		{"a loop that doubles", `graph main(x: f32[1]) -> (y) {
  y = Loop(i64[]{60}, _, x) {body=graph (i: i64[], k: bool[], v: f32[?]) -> (k, w) {
    w = Concat(v, v) {axis=0}
  }}
}`, true},
		{"a scan that collects squares", `graph main(x: f32[20000]) -> (y) {
  y = Scan(x) {num_scan_inputs=1, body=graph (v: f32[]) -> (w) {
    w = Expand(v, i64[1]{20000})
  }}
}`, true},
		{"a sequence that grows", `graph main(x: f32[1]) -> (n) {
  none = SequenceEmpty()
  s = Loop(i64[]{1000000}, _, none) {body=graph (i: i64[], k: bool[], v: sequence) -> (k, w) {
    e = Expand(x, i64[1]{2000})
    w = SequenceInsert(v, e)
  }}
  n = SequenceLength(s)
}`, true},
		{"a sequence of many parts", `graph main(x: f32[1]) -> (n) {
  a = Expand(x, i64[1]{2000000})
  s = SplitToSequence(a)
  n = SequenceLength(s)
}`, true},
		{"strings in a loop", `graph main(x: f32[1]) -> (y) {
  s = Cast(x) {to=8}
  y = Loop(i64[]{60}, _, s) {body=graph (i: i64[], k: bool[], v: string[1]) -> (k, w) {
    w = StringConcat(v, v)
  }}
}`, true},
		{"transforms of great length", `graph main(x: f32[1]) -> (y) {
  a = Expand(x, i64[3]{1, 1, 1})
  y = DFT(a, i64[]{1000003})
}`, true},
		{"outputs of one node", `graph main(x: f32[1]) -> (y) {
  a = Expand(x, i64[1]{1000000})
  n = NonZero(a)
  u, i, j, k = Unique(a)
  s = Shape(n)
  t = Shape(j)
  y = Concat(s, t) {axis=0}
}`, true},
		{"weights that many layers share", `graph main(x: f32[1,64,1,1]) -> (y60) {
  const w: f32[64,64,3,3]{0.5, ...}
  y0 = Identity(x)
` + repeated(60, "  conv%[1]d = Conv(y%[2]d, w) {pads=[1,1,1,1]}\n  y%[1]d = Mul(conv%[1]d, f32[64,1,1]{%[1]d, ...})") + `}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := model.Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			goruntime.GC()
			var before, after goruntime.MemStats
			goruntime.ReadMemStats(&before)
			m, err := runtime.New(g, runtime.Options{MaxMemory: limit})
			if err == nil {
				var s *runtime.Session
				if s, err = m.NewSession(runtime.SessionOptions{Threads: 2}); err == nil {
					defer s.Close()
					err = s.Run(context.Background(), inputs(m), outputs(m))
				}
			}
			goruntime.ReadMemStats(&after)
			if err != nil && !errors.Is(err, runtime.ErrTooLarge) || (err != nil) != c.fails {
				t.Errorf("got %v", err)
			}
			// What the process takes from the system, garbage that is not collected yet included, and the readers' own.
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 4*limit+32<<20 {
				t.Errorf("%d MiB for a limit of %d: %v", grown>>20, limit>>20, err)
			}
		})
	}
}
