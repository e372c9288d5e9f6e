package main

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/edgerun/edgerun/kernels/spec"
)

// argStructs are the argument structs whose fields sources may name.
var argStructs = []reflect.Type{
	reflect.TypeFor[spec.GemmArgs](),
	reflect.TypeFor[spec.PoolArgs](),
	reflect.TypeFor[spec.DepthwiseRowArgs](),
	reflect.TypeFor[spec.MapArgs](),
	reflect.TypeFor[spec.QuantArgs](),
	reflect.TypeFor[spec.ScaleArgs](),
	reflect.TypeFor[spec.WinogradArgs](),
	reflect.TypeFor[spec.BinaryArgs](),
	reflect.TypeFor[spec.RowsArgs](),
	reflect.TypeFor[spec.MixArgs](),
}

// signature is the Go declaration of a routine.
type signature struct{ name, args string }

// routine is one assembled kernel.
type routine struct {
	signature
	code []instruction
}

type instruction struct {
	bytes []byte
	text  string // the disassembly; "data" behind the label NAME.data
}

// target is what asmgen knows of an instruction set.
type target struct {
	arch        string
	as, objdump []string
	machine     elf.Machine
	refused     *regexp.Regexp // instructions and registers
	wide        *regexp.Regexp // registers whose upper halves must be cleared before each return
	prologue    string
	align       uint64
}

func targetFor(arch string) (*target, error) {
	switch arch {
	case "amd64":
		return &target{
			arch: arch, machine: elf.EM_X86_64, align: 64,
			as:       []string{"as", "--64", "-msyntax=intel", "-mnaked-reg"},
			objdump:  []string{"objdump", "-d", "-w", "-z", "-M", "intel"},
			refused:  regexp.MustCompile(`^(call|retf|push|pop|pushf|popf|enter|leave|syscall|int|int3|hlt|ud2)\b|\b[re]?[sb]p[l]?\b`),
			wide:     regexp.MustCompile(`\b[yz]mm\d`),
			prologue: "\tMOVQ a+0(FP), DI\n",
		}, nil
	case "arm64":
		return &target{
			arch: arch, machine: elf.EM_AARCH64, align: 32,
			as:       []string{"aarch64-linux-gnu-as", "-march=armv8.6-a+fp16+dotprod+i8mm+fp16fml"},
			objdump:  []string{"aarch64-linux-gnu-objdump", "-d", "-w", "-z"},
			refused:  regexp.MustCompile(`^(bl|blr|br|svc|hvc|smc|brk|udf)\b|\b([xw](18|26|27|28|29|30)|sp|wsp|lr|fp)\b`),
			prologue: "\tMOVD a+0(FP), R0\n",
		}, nil
	}
	return nil, fmt.Errorf("architecture %q unknown; known are amd64 and arm64", arch)
}

var header = regexp.MustCompile(`^// func ([a-z]\w*)\(a \*spec\.(\w+)\)$`)

// signaturesOf reads the headers of a source.
func signaturesOf(text string) ([]signature, error) {
	known := map[string]bool{}
	for _, t := range argStructs {
		known[t.Name()] = true
	}
	var list []signature
	for i, line := range strings.Split(text, "\n") {
		m := header.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "// func ") {
				return nil, fmt.Errorf("line %d: want // func NAME(a *spec.ARGS)", i+1)
			}
			continue
		}
		if !known[m[2]] {
			return nil, fmt.Errorf("line %d: spec has no argument struct %s", i+1, m[2])
		}
		list = append(list, signature{m[1], m[2]})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no line // func NAME(a *spec.ARGS)")
	}
	return list, nil
}

var field = regexp.MustCompile(`\b([A-Z]\w*Args)_(\w+)\b`)

// offsets puts numbers for the names of fields and sizes. Symbols would do, but then the disassembler takes them for places in the code.
func offsets(text string) (string, error) {
	var unknown error
	text = field.ReplaceAllStringFunc(text, func(name string) string {
		m := field.FindStringSubmatch(name)
		for _, t := range argStructs {
			if t.Name() != m[1] {
				continue
			}
			if m[2] == "size" {
				return fmt.Sprint(t.Size())
			}
			if f, ok := t.FieldByName(m[2]); ok {
				return fmt.Sprint(f.Offset)
			}
		}
		unknown = fmt.Errorf("%s: spec has no such field", name)
		return name
	})
	return text, unknown
}

// plain takes the comments out and puts numbers for the names of fields.
func plain(text string) (string, error) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i], _, _ = strings.Cut(line, "//")
	}
	return offsets(strings.Join(lines, "\n"))
}

// assemble returns the routines of a source. It may include the files of the folder that end in .inc.
func (t *target) assemble(text, dir string) ([]routine, error) {
	sigs, err := signaturesOf(text)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "asmgen-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	source, object := filepath.Join(tmp, "source.s"), filepath.Join(tmp, "object.o")
	code, err := plain(text)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(source, []byte(code), 0o600); err != nil {
		return nil, err
	}
	shared, err := filepath.Glob(filepath.Join(dir, "*.inc"))
	if err != nil {
		return nil, err
	}
	for _, path := range shared {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		code, err := plain(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := os.WriteFile(filepath.Join(tmp, filepath.Base(path)), []byte(code), 0o600); err != nil {
			return nil, err
		}
	}
	if out, err := exec.Command(t.as[0], append(t.as[1:], "-I", tmp, "-o", object, source)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", t.as[0], err, strings.ReplaceAll(string(out), tmp+"/", ""))
	}
	f, err := elf.Open(object)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := onlyCode(f); err != nil {
		return nil, err
	}
	out, err := exec.Command(t.objdump[0], append(t.objdump[1:], "-j", ".text", object)...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.objdump[0], err)
	}
	return t.split(f, out, sigs)
}

// onlyCode refuses what words of code cannot carry: relocations and other sections with content.
func onlyCode(f *elf.File) error {
	for _, s := range f.Sections {
		switch {
		case (s.Type == elf.SHT_RELA || s.Type == elf.SHT_REL) && s.Size > 0:
			return fmt.Errorf("section %s: relocations cannot be kept; take addresses relative to the program counter", s.Name)
		case s.Flags&elf.SHF_ALLOC != 0 && s.Name != ".text" && s.Size > 0:
			return fmt.Errorf("section %s: only .text is kept", s.Name)
		}
	}
	return nil
}

var line = regexp.MustCompile(`^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*(?:\t(.*))?$`)

// split cuts the disassembly at the labels of the signatures and checks each routine.
func (t *target) split(f *elf.File, listing []byte, sigs []signature) ([]routine, error) {
	symbols, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	start, data := map[uint64]signature{}, map[uint64]bool{}
	for _, s := range sigs {
		found := false
		for _, sym := range symbols {
			if sym.Name == s.name {
				start[sym.Value], found = s, true
				if sym.Value%t.align != 0 {
					return nil, fmt.Errorf("%s: the label is not aligned to %d bytes", s.name, t.align)
				}
			}
			if sym.Name == s.name+".data" {
				data[sym.Value] = true
			}
		}
		if !found {
			return nil, fmt.Errorf("no label %s", s.name)
		}
	}
	var list []routine
	inData := false
	lines := bufio.NewScanner(bytes.NewReader(listing))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		var at uint64
		if _, err := fmt.Sscanf(m[1], "%x", &at); err != nil {
			return nil, err
		}
		code := strings.ReplaceAll(m[2], " ", "")
		raw, err := hex.DecodeString(code)
		if err != nil {
			return nil, err
		}
		if t.machine == elf.EM_AARCH64 { // printed as a word, most significant byte first
			for i, j := 0, len(raw)-1; i < j; i, j = i+1, j-1 {
				raw[i], raw[j] = raw[j], raw[i]
			}
		}
		if s, ok := start[at]; ok {
			list, inData = append(list, routine{signature: s}), false
		}
		inData = inData || data[at]
		if len(list) == 0 {
			return nil, fmt.Errorf("code before the first routine")
		}
		r := &list[len(list)-1]
		if last := len(r.code) - 1; inData && last >= 0 && r.code[last].text == "data" && len(r.code[last].bytes) < 8 {
			r.code[last].bytes = append(r.code[last].bytes, raw...)
			for b := r.code[last].bytes; len(b) > 8; b = r.code[len(r.code)-1].bytes {
				r.code[len(r.code)-1].bytes = b[:8:8]
				r.code = append(r.code, instruction{b[8:], "data"})
			}
			continue
		}
		in := instruction{raw, strings.Join(strings.Fields(m[3]), " ")}
		if inData {
			in.text = "data"
		}
		r.code = append(r.code, in)
	}
	if len(list) != len(sigs) {
		return nil, fmt.Errorf("%d routines of %d found", len(list), len(sigs))
	}
	for i := range list {
		if err := t.verify(&list[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", list[i].name, err)
		}
	}
	return list, nil
}

// padding is what aligns the next routine.
var padding = regexp.MustCompile(`\bnop\b|^xchg ax,ax$`)

// verify refuses what Go's runtime could not stand.
func (t *target) verify(r *routine) error {
	wide, returns := false, 0
	code := r.code
	for len(code) > 0 && (code[len(code)-1].text == "data" || padding.MatchString(code[len(code)-1].text)) {
		code = code[:len(code)-1]
	}
	for i, in := range code {
		text, to, jumps := strings.Cut(in.text, " <")
		text, _, _ = strings.Cut(text, " #")
		if jumps {
			if label, _, _ := strings.Cut(strings.TrimSuffix(to, ">"), "+"); label != r.name && label != r.name+".data" {
				return fmt.Errorf("instruction %d: %q leaves the routine, for %s (labels inside begin with .L)", i, text, label)
			}
		}
		wide = wide || t.wide != nil && t.wide.MatchString(text)
		switch {
		case text == "data":
			return fmt.Errorf("code behind data")
		case text == "" || strings.Contains(text, "(bad)"):
			return fmt.Errorf("instruction %d: %x is no instruction", i, in.bytes)
		case t.refused.MatchString(text):
			return fmt.Errorf("instruction %d: %q: calls, the stack and registers that Go keeps are refused", i, text)
		case text == "ret":
			returns++
			if wide && code[i-1].text != "vzeroupper" {
				return fmt.Errorf("instruction %d: ret without vzeroupper before it", i)
			}
		}
	}
	if returns == 0 || code[len(code)-1].text != "ret" {
		return fmt.Errorf("the code does not end with ret")
	}
	return nil
}

// print writes the Go assembly file.
func (t *target) print(source string, list []routine) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated by asmgen from src/%s. DO NOT EDIT.\n\n#include \"textflag.h\"\n", source)
	for _, r := range list {
		fmt.Fprintf(&b, "\n// func %s(a *spec.%s)\nTEXT ·%s(SB), NOSPLIT, $0-8\n%s\tPCALIGN $%d\n", r.name, r.args, r.name, t.prologue, t.align)
		for _, in := range r.code {
			if in.text == "ret" {
				b.WriteString("\tRET\n")
				continue
			}
			b.WriteByte('\t')
			t.words(&b, in.bytes)
			if in.text != "data" {
				text, _, _ := strings.Cut(in.text, " <")
				fmt.Fprintf(&b, " // %s", text)
			}
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// words writes bytes in the largest units that the assembler has.
func (t *target) words(b *bytes.Buffer, raw []byte) {
	for first := true; len(raw) > 0; first = false {
		if !first {
			b.WriteString("; ")
		}
		n := 1
		switch {
		case t.machine == elf.EM_AARCH64:
			fmt.Fprintf(b, "WORD $0x%08x", binary.LittleEndian.Uint32(raw))
			n = 4
		case len(raw) >= 8:
			fmt.Fprintf(b, "QUAD $0x%016x", binary.LittleEndian.Uint64(raw))
			n = 8
		case len(raw) >= 4:
			fmt.Fprintf(b, "LONG $0x%08x", binary.LittleEndian.Uint32(raw))
			n = 4
		case len(raw) >= 2:
			fmt.Fprintf(b, "WORD $0x%04x", binary.LittleEndian.Uint16(raw))
			n = 2
		default:
			fmt.Fprintf(b, "BYTE $0x%02x", raw[0])
		}
		raw = raw[n:]
	}
}
