package docs

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/model/onnx"
	"github.com/edgerun/edgerun/model/tflite"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
	"github.com/edgerun/edgerun/runtime/ops"
)

var update = flag.Bool("update", false, "write docs/operators.md")

const operatorsHead = `# Operators

What edgerun imports. A test (internal/docs) writes this page from the importers' tables and the operators' own
(` + "`go test ./internal/docs -run TestOperators -update`" + `) and fails where it is not true any more. Everything else ends in an
error that names the node, the operator and, where an option is the reason, the option.

**Quantised** says what happens where a value is an integer tensor with scale and zero point:

- kernel: computes on the integers
- moves: hands the integers on
- table: 8-bit values go through a table of 256 entries; wider ones as floats
- plain: reads the integers as they are
- floats: Dequantize before it and Quantize behind it, by a pass

**Types** are those of the first input with which recorded cases hold the operator to its reference. Others may work: an
operator that cannot take a type says so before anything runs.

`

const onnxHead = `## ONNX

Opsets 1 to %d of the default domain. Operators have the meaning of the newest opset; **rewritten** lists the opsets before
which an older form is turned into it ("always": the operator becomes others). Functions of a model are inlined; external
data, initializers as inputs and sparse constants are read. Versions are those in which ONNX changed the operator.

`

const liteHead = `## TFLite

Float, FP16 and dynamic-range models, and quantised ones with activations of int8, uint8 and int16. Tensors of complex64 are
float32 with a last extent of two (real and imaginary part), at inputs and outputs too; **complex** marks the operators that take
them. Sparse weights are made dense. Tensors of type variant, complex128 and resources at the model's border are refused. Variables (VAR_HANDLE and the
states of recurrent layers) begin each run with their first value; ` + "`--states`" + ` makes them inputs and outputs.

`

const otherHead = `## Within edgerun

Operators that neither format has, or that importers and passes make of others. They are what the text form and .edge files
call them.

`

// The subset of operators that hold graphs, which are not in the table of operators.
var flow = []string{"If", "Loop", "Scan"}

func quantised(o op.Op) string {
	switch {
	case o.Traits&op.QuantKernel != 0:
		return "kernel"
	case o.Traits&op.QuantMoves != 0 || o.Traits&op.View != 0:
		return "moves"
	case o.Traits&op.PlainIntegers != 0:
		return "plain"
	case o.Traits&op.Pointwise != 0:
		return "table"
	}
	return "floats"
}

// recordedTypes lists, for each operator, the element types of the first inputs of recorded cases.
func recordedTypes(t *testing.T) map[string]string {
	files, err := filepath.Glob("../../runtime/op/*/testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	found := map[string]map[string]bool{}
	for _, f := range files {
		cases, err := optest.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			if found[c.Op] == nil {
				found[c.Op] = map[string]bool{}
			}
			if len(c.In) > 0 && c.In[0] != nil {
				found[c.Op][c.In[0].DType] = true
			}
		}
	}
	r := map[string]string{}
	for name, types := range found {
		r[name] = strings.Join(slices.Sorted(maps.Keys(types)), " ")
	}
	return r
}

// statedTypes takes the types of the page where all of them are recorded: cases that are added need no new page.
func statedTypes(page string, recorded map[string]string) map[string]string {
	r := maps.Clone(recorded)
	typed := false
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "| operator") {
			typed = strings.HasSuffix(line, "| types |")
		}
		if !typed {
			continue
		}
		cells := strings.Split(line, " | ")
		name, stated := strings.Trim(cells[0], "|` "), strings.Fields(strings.Trim(cells[len(cells)-1], "| "))
		all := strings.Fields(recorded[name])
		if recorded[name] != "" && !slices.ContainsFunc(stated, func(x string) bool { return !slices.Contains(all, x) }) {
			r[name] = strings.Join(stated, " ")
		}
	}
	return r
}

func operatorsPage(t *testing.T, types map[string]string) string {
	rewritten := onnx.Rewritten()
	var b strings.Builder
	b.WriteString(operatorsHead)
	fmt.Fprintf(&b, onnxHead, onnx.NewestOpset)
	known, err := os.ReadFile("testdata/onnx.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	missing := []string{}
	domain := "?"
	onnxName := func(name string) string { return "`" + name + "`" }
	versionsOf := map[string]string{}
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(string(known)), "\n") {
		f := strings.Fields(line)
		names, versionsOf[f[0]] = append(names, f[0]), strings.ReplaceAll(f[1], ",", " ")
	}
	for _, list := range [][]string{ops.Names(), slices.Sorted(maps.Keys(rewritten))} {
		for _, n := range list {
			if versionsOf[n] == "" && strings.HasPrefix(n, "com.microsoft.") {
				names, versionsOf[n] = append(names, n), "1"
			}
		}
	}
	slices.SortStableFunc(names, func(x, y string) int { return strings.Compare(domainOf(x), domainOf(y)) })
	for _, n := range names {
		o, have := ops.Lookup(n)
		changed, lowered := rewritten[n]
		if !have && !lowered && !slices.Contains(flow, n) {
			missing = append(missing, onnxName(n))
			continue
		}
		if d := domainOf(n); d != domain {
			domain = d
			fmt.Fprintf(&b, "### %s\n\n| operator | versions | rewritten before | quantised | types |\n|---|---|---|---|---|\n", or(d, "Default domain"))
		}
		listed[n] = true
		before := ""
		for _, v := range changed {
			before += " " + or(strings.TrimPrefix(strconv.FormatInt(v, 10), "0"), "always")
		}
		quant := "graphs"
		if have {
			quant = quantised(o)
		} else if lowered {
			quant = ""
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", onnxName(n), versionsOf[n], strings.TrimSpace(before), quant, types[n])
	}
	fmt.Fprintf(&b, "\nNot there: %s.\n\n", strings.Join(missing, ", "))

	b.WriteString(liteHead + "| operator | number | complex |\n|---|---|---|\n")
	var refused, customs strings.Builder
	for _, o := range tflite.Operators() {
		switch {
		case o.Refused != "":
			fmt.Fprintf(&refused, "| `%s` | %s | %s |\n", o.Name, strings.Replace(strconv.Itoa(o.Code), "-1", "custom", 1), o.Refused)
		case o.Code < 0:
			fmt.Fprintf(&customs, "- `%s`\n", o.Name)
		default:
			c := ""
			if o.Complex {
				c = "yes"
			}
			fmt.Fprintf(&b, "| `%s` | %d | %s |\n", o.Name, o.Code, c)
		}
	}
	fmt.Fprintf(&b, "\nCustom operators; `Flex...` and all others are refused by name:\n\n%s\nRefused:\n\n| operator | number | why |\n|---|---|---|\n%s\n", customs.String(), refused.String())

	b.WriteString(otherHead + "| operator | quantised | types |\n|---|---|---|\n")
	for _, n := range ops.Names() {
		if !listed[n] {
			o, _ := ops.Lookup(n)
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", n, quantised(o), types[n])
		}
	}
	return b.String()
}

func domainOf(name string) string {
	i := strings.LastIndexByte(name, '.')
	return name[:max(i, 0)]
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// TestOperators holds docs/operators.md to what the importers and the table of operators say.
func TestOperators(t *testing.T) {
	const path = "../../docs/operators.md"
	types := recordedTypes(t)
	if have, err := os.ReadFile(path); err == nil && !*update {
		types = statedTypes(string(have), types)
	}
	page := operatorsPage(t, types)
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		a, b := strings.Split(string(have), "\n"), strings.Split(page, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("%s: line %d is %q, want %q; go test ./internal/docs -run TestOperators -update", path, i+1, a[i], b[i])
			}
		}
		t.Fatalf("%s has %d lines, want %d; go test ./internal/docs -run TestOperators -update", path, len(a), len(b))
	}
}
