package main

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/edgerun/edgerun/internal/cases"
	"github.com/edgerun/edgerun/internal/hostile"
)

// items lists the figures in the order in which they are measured.
func items() []item {
	var list []item
	add := func(section, name, want string, f func(context.Context, *env) (string, bool, error)) {
		list = append(list, item{section, name, want, f})
	}
	add("Models", "goldens", "all models within their tolerance.json", goldens)
	add("Models", "layers against FP32", "every integer layer within one step", locate)
	add("Models", "ONNX backend cases", "at least 1,500 of 1,998", conformance)
	add("Models", "PP-OCRv4 page", "all 8 lines exactly", ocr)
	add("Models", "silero VAD", "312 steps within 1e-3", silero)
	add("Accuracy", "EfficientNet-Lite0", "437 of 500, ±3", imagenet("efficientnet_lite0.onnx", 437, 3, "efficientnet-lite"))
	add("Accuracy", "mobilenet_v2_ptq.tflite", "430 of 500, ±3", imagenet("mobilenet_v2_ptq.tflite", 430, 3, "mobilenet-tflite"))
	add("Accuracy", "mlperf_tiny_ic_int8", "3,794 of 5,000, ±10", cifar)
	add("Files", "EfficientNet-Lite0 FP32 .edge", "at most 86 % of the ONNX file", edgeShare("fp32", .86))
	add("Files", "EfficientNet-Lite0 FP16 .edge", "at most 45 % of the ONNX file", edgeShare("fp16", .45))
	add("Files", "integer models", "at most zstd -19 of the source + 2 % + 4 KiB", integerSizes)
	add("Files", "signed, verified, tampered with", "a changed byte is refused", tamper)
	add("Binary", "static, stripped linux/arm64", "at most 14 MB, no interpreter", arm64Size)
	add("Binary", "other systems", "linux/arm, linux/riscv64, darwin/arm64, windows/amd64 build", crossBuilds)
	add("Binary", "edgerun version", "under 20 ms", versionTime)
	add("Binary", "edgerun demo", "under 20 s", demo)
	add("Other machines", "goldens on linux/arm64 (qemu, cortex-a53)", "all models", goldensUnder("arm64", "qemu-aarch64-static", "cortex-a53"))
	add("Other machines", "goldens on linux/arm64 (qemu, cortex-a76)", "all models", goldensUnder("arm64", "qemu-aarch64-static", "cortex-a76"))
	add("Other machines", "goldens on linux/arm (qemu)", "all models", goldensUnder("arm", "qemu-arm-static", "max"))
	add("Bad input", "memory while parsing", "at most twice the file + 64 MiB", parseMemory)
	add("Bad input", "fuzzing", "no crash", fuzzing)
	add("Running", "tests of Run (allocation, eight sessions, race)", "pass", runTests)
	add("Loading", "first result of EfficientNet-Lite0 from a compressed .edge", "under 120 ms after the process started, page cache warm", loadTimes(false, 120))
	add("Loading", "the same with the packed cache", "under 50 ms", loadTimes(true, 50))
	add("Loading", "an idle process", "under 20 ms of processor time per second", idle)
	add("Speed", "product of 512×512×512, FP32", "at least 85 % of the peak of one thread", product("f32", "f32", .85))
	add("Speed", "product of 512×512×512, INT8, u8 by i8", "at least 85 % of the peak of one thread", product("u8", "i8", .85))
	add("Speed", "product of 512×512×512, INT8, i8 by i8", "at least 85 % of the peak of one thread", product("i8", "i8", .85))
	add("Speed", "convolutions of ResNet-50", "at least 70 % of the peak of one thread", convolutions)
	add("Speed", "two threads", "at least 1.8 times as fast as one, on models of 5 ms and more", twoThreads)
	add("Speed", "a fully connected layer with FP16 weights", "at least 1.6 times as fast as FP32, batch 1, weights beyond the last-level cache", halfWeights)
	add("Other runtimes", "geometric mean of the ratio", "at least 1.10, over rows whose best peer takes 0.1 ms or more", compared(func(s *cases.Summary) (string, bool) {
		return fmt.Sprintf("%.3f over %d rows", s.Mean, s.Rows), s.Mean >= 1.1
	}))
	add("Other runtimes", "worst ratio", "at least 0.80", compared(func(s *cases.Summary) (string, bool) {
		return fmt.Sprintf("%.2f (%s)", s.Worst, s.WorstCase), s.Worst >= .8
	}))
	add("Other runtimes", "rows ahead", "at least two thirds", compared(func(s *cases.Summary) (string, bool) {
		return fmt.Sprintf("%d of %d", s.Ahead, s.Rows), 3*s.Ahead >= 2*s.Rows
	}))
	add("Other runtimes", "rows below 0.1 ms", "none behind", compared(func(s *cases.Summary) (string, bool) {
		return fmt.Sprintf("%d of %d behind, worst %.2f (%s)", s.SmallBehind, s.Small, s.SmallWorst, s.SmallWorstCase), s.SmallBehind == 0
	}))
	add("Other runtimes", "memory that loading and running add", "at most the least of the peers, in every row that counts", compared(func(s *cases.Summary) (string, bool) {
		return fmt.Sprintf("more in %d of %d rows, furthest %.2f of the least (%s)", s.Heavy, s.Rows, s.Heaviest, s.HeaviestCase), s.Heavy == 0
	}))
	add("Other runtimes", "where the time goes", "three layers of every case, and why", explained)
	add("Same bytes", "goldens, every mask", "all pass, with the same bytes under every mask of CPU features and on 1 to 8 threads", sameBytes(0, maskedGoldens))
	add("Same bytes", "ONNX backend cases, every mask", "at least 1,500 pass, with the same bytes under every mask and on 1 to 8 threads", sameBytes(1500, maskedConformance))
	return list
}

// modelFile finds the model of a golden folder.
func (e *env) modelFile(name string) (string, error) {
	for _, ext := range []string{".onnx", ".tflite"} {
		path := filepath.Join(e.data, "models", name+ext)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no model for the golden %s", name)
}

func (e *env) goldenNames() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(e.data, "golden"))
	if err != nil {
		return nil, err
	}
	var list []string
	for _, d := range entries {
		list = append(list, d.Name())
	}
	return list, nil
}

// checkAll runs check on every golden folder through call.
func (e *env) checkAll(ctx context.Context, call func(context.Context, ...string) ([]byte, error), flags ...string) (string, bool, error) {
	names, err := e.goldenNames()
	if err != nil {
		return "", false, err
	}
	var bad []string
	for _, n := range names {
		path, err := e.modelFile(n)
		if err != nil {
			return "", false, err
		}
		if _, err := call(ctx, append([]string{"check", path, "--golden", filepath.Join(e.data, "golden", n)}, flags...)...); err != nil {
			bad = append(bad, n)
		}
	}
	seen := fmt.Sprintf("%d of %d", len(names)-len(bad), len(names))
	if len(bad) > 0 {
		seen += "; not " + strings.Join(bad, ", ")
	}
	return seen, len(bad) == 0, nil
}

func goldens(ctx context.Context, e *env) (string, bool, error) { return e.checkAll(ctx, e.edgerun) }

func goldensUnder(arch, emulator, cpu string) func(context.Context, *env) (string, bool, error) {
	return func(ctx context.Context, e *env) (string, bool, error) {
		bin, err := e.build(ctx, "linux", arch)
		if err != nil {
			return "", false, err
		}
		return e.checkAll(ctx, func(ctx context.Context, args ...string) ([]byte, error) {
			cmd := exec.CommandContext(ctx, emulator, append([]string{"-cpu", cpu, bin}, args...)...)
			return output(cmd)
		}, "--threads", "1")
	}
}

func locate(ctx context.Context, e *env) (string, bool, error) {
	names, err := e.goldenNames()
	if err != nil {
		return "", false, err
	}
	layers, worst, where := 0, 0.0, ""
	var bad []string
	for _, n := range names {
		path, err := e.modelFile(n)
		if err != nil {
			return "", false, err
		}
		out, err := e.edgerun(ctx, "check", path, "--golden", filepath.Join(e.data, "golden", n), "--locate", "--json")
		if err != nil {
			bad = append(bad, n)
			continue
		}
		var r struct {
			Locate struct {
				Layers int
				First  *struct{ Name string }
				Worst  *struct {
					Name  string
					Steps float64
				}
			}
		}
		if err := json.Unmarshal(out, &r); err != nil {
			return "", false, err
		}
		layers += r.Locate.Layers
		if r.Locate.First != nil {
			bad = append(bad, n+" ("+r.Locate.First.Name+")")
		}
		if w := r.Locate.Worst; w != nil && w.Steps > worst {
			worst, where = w.Steps, n
		}
	}
	seen := fmt.Sprintf("%d layers, furthest %.2f steps (%s)", layers, worst, where)
	if len(bad) > 0 {
		seen += "; differ: " + strings.Join(bad, ", ")
	}
	return seen, len(bad) == 0, nil
}

func conformance(ctx context.Context, e *env) (string, bool, error) {
	out, err := e.edgerun(ctx, "conformance", filepath.Join(e.data, "onnx-backend.tar.zst"))
	last := lastLine(string(out))
	m := regexp.MustCompile(`^passed (\d+) of (\d+)$`).FindStringSubmatch(last)
	if m == nil {
		if err == nil {
			err = fmt.Errorf("last line is %q", last)
		}
		return "", false, err
	}
	n, _ := strconv.Atoi(m[1])
	return last, n >= 1500 && m[2] == "1998", nil
}

// normalised trims white space and collapses it.
func normalised(s string) string { return strings.Join(strings.Fields(s), " ") }

func ocr(ctx context.Context, e *env) (string, bool, error) {
	dir := filepath.Join(e.data, "images", "ocr")
	b, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		return "", false, err
	}
	var truth []struct{ Text string }
	if err := json.Unmarshal(b, &truth); err != nil {
		return "", false, err
	}
	pages, _ := filepath.Glob(filepath.Join(dir, "page*.png"))
	if len(pages) != 1 {
		return "", false, fmt.Errorf("%d pages in %s, want one", len(pages), dir)
	}
	models := filepath.Join(e.data, "models")
	out, err := e.edgerun(ctx, "run", filepath.Join(models, "ppocr_v4_det.onnx"), pages[0], "--preset", "ppocr-det",
		"--recognise", filepath.Join(models, "ppocr_v4_rec.onnx"), "--json")
	if err != nil {
		return "", false, err
	}
	var r struct{ Lines []struct{ Text string } }
	if err := json.Unmarshal(out, &r); err != nil {
		return "", false, err
	}
	right := 0
	for _, want := range truth {
		for _, l := range r.Lines {
			if normalised(l.Text) == normalised(want.Text) {
				right++
				break
			}
		}
	}
	return fmt.Sprintf("%d of %d lines, %d found", right, len(truth), len(r.Lines)), right == len(truth) && len(r.Lines) == len(truth), nil
}

func silero(ctx context.Context, e *env) (string, bool, error) {
	audio := filepath.Join(e.data, "audio", "short_wav_easy10s")
	b, err := os.ReadFile(audio + ".silero_vad.json")
	if err != nil {
		return "", false, err
	}
	want, err := numbers(b)
	if err != nil {
		return "", false, err
	}
	out, err := e.edgerun(ctx, "run", filepath.Join(e.data, "models", "silero_vad_16k.onnx"), audio+".wav", "--preset", "silero-vad", "--json")
	if err != nil {
		return "", false, err
	}
	var r struct{ Frames []struct{ Values []float64 } }
	if err := json.Unmarshal(out, &r); err != nil {
		return "", false, err
	}
	worst := 0.0
	for i, f := range r.Frames {
		if i >= len(want) || len(f.Values) != 1 {
			return "", false, fmt.Errorf("step %d of %d has %d values", i, len(want), len(f.Values))
		}
		worst = max(worst, math.Abs(want[i]-f.Values[0]))
	}
	return fmt.Sprintf("%d steps, furthest %.2g", len(r.Frames), worst), len(r.Frames) == len(want) && len(want) == 312 && worst <= 1e-3, nil
}

// numbers reads the one list of numbers in a JSON document.
func numbers(b []byte) ([]float64, error) {
	var list []float64
	if json.Unmarshal(b, &list) == nil {
		return list, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return nil, err
	}
	for _, v := range object {
		if json.Unmarshal(v, &list) == nil && len(list) > 1 {
			return list, nil
		}
	}
	return nil, errors.New("no list of numbers")
}

// classify runs a model's pipeline on files and returns the top class of each, in order.
func (e *env) classify(ctx context.Context, model, preset string, files []string) ([]int, error) {
	out, err := e.edgerun(ctx, append([]string{"run", model, "--preset", preset, "--json"}, files...)...)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var r struct {
			Classes []struct{ Class int }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, err
		}
		if len(r.Classes) == 0 {
			return nil, fmt.Errorf("no class in %s", line)
		}
		list = append(list, r.Classes[0].Class)
	}
	return list, nil
}

func imagenet(model string, want, room int, preset string) func(context.Context, *env) (string, bool, error) {
	return func(ctx context.Context, e *env) (string, bool, error) {
		dir := filepath.Join(e.data, "images", "imagenet")
		b, err := os.ReadFile(filepath.Join(dir, "labels.csv"))
		if err != nil {
			return "", false, err
		}
		var files []string
		var classes []int
		for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
			name, class, _ := strings.Cut(strings.TrimSpace(line), ",")
			n, err := strconv.Atoi(class)
			if err != nil {
				return "", false, err
			}
			files, classes = append(files, filepath.Join(dir, name)), append(classes, n)
		}
		got, err := e.classify(ctx, filepath.Join(e.data, "models", model), preset, files)
		if err != nil {
			return "", false, err
		}
		right := 0
		for i := range got {
			if got[i] == classes[i] {
				right++
			}
		}
		return fmt.Sprintf("%d of %d", right, len(got)), len(got) == 500 && right >= want-room && right <= want+room, nil
	}
}

func cifar(ctx context.Context, e *env) (string, bool, error) {
	const record = 1 + 3*32*32
	path := filepath.Join(e.data, "images", "cifar10_test_5k.bin")
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false, err
	}
	got, err := e.classify(ctx, filepath.Join(e.data, "models", "mlperf_tiny_ic_int8.tflite"), "cifar", []string{path})
	if err != nil {
		return "", false, err
	}
	right := 0
	for i := range min(len(got), len(b)/record) {
		if got[i] == int(b[i*record]) {
			right++
		}
	}
	return fmt.Sprintf("%d of %d", right, len(got)), len(got) == 5000 && right >= 3784 && right <= 3804, nil
}

func size(path string) (int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// importModel makes an unsigned .edge file without goldens and returns its size.
func (e *env) importModel(ctx context.Context, source string, flags ...string) (string, int64, error) {
	out := filepath.Join(e.tmp, filepath.Base(source)+strings.Join(flags, "")+".edge")
	if _, err := e.edgerun(ctx, append([]string{"import", source, "-o", out, "--force"}, flags...)...); err != nil {
		return "", 0, err
	}
	n, err := size(out)
	return out, n, err
}

func edgeShare(precision string, most float64) func(context.Context, *env) (string, bool, error) {
	return func(ctx context.Context, e *env) (string, bool, error) {
		source := filepath.Join(e.data, "models", "efficientnet_lite0.onnx")
		from, err := size(source)
		if err != nil {
			return "", false, err
		}
		_, n, err := e.importModel(ctx, source, "--precision", precision)
		share := float64(n) / float64(from)
		return fmt.Sprintf("%.2f %% (%d of %d bytes)", 100*share, n, from), share <= most, err
	}
}

func integerSizes(ctx context.Context, e *env) (string, bool, error) {
	files, err := filepath.Glob(filepath.Join(e.data, "models", "*"))
	if err != nil {
		return "", false, err
	}
	worst, where, count := math.Inf(-1), "", 0
	var bad []string
	for _, f := range files {
		name := filepath.Base(f)
		if !strings.Contains(name, "int8") && !strings.Contains(name, "uint8") && !strings.Contains(name, "ptq") {
			continue
		}
		count++
		_, n, err := e.importModel(ctx, f)
		if err != nil {
			return "", false, err
		}
		zst := filepath.Join(e.tmp, name+".zst")
		if _, err := output(exec.CommandContext(ctx, "zstd", "-19", "-q", "-f", "-o", zst, f)); err != nil {
			return "", false, err
		}
		z, err := size(zst)
		if err != nil {
			return "", false, err
		}
		limit := float64(z)*1.02 + 4096
		if over := float64(n) / limit; over > worst {
			worst, where = over, name
		}
		if float64(n) > limit {
			bad = append(bad, fmt.Sprintf("%s %d over %.0f", name, n, limit))
		}
	}
	seen := fmt.Sprintf("%d models, closest to its limit: %s at %.1f %% of it", count, where, 100*worst)
	if len(bad) > 0 {
		seen += "; " + strings.Join(bad, ", ")
	}
	return seen, len(bad) == 0, nil
}

func tamper(ctx context.Context, e *env) (string, bool, error) {
	key := filepath.Join(e.tmp, "key.pem")
	if _, err := e.edgerun(ctx, "keys", "new", key); err != nil {
		return "", false, err
	}
	path, _, err := e.importModel(ctx, filepath.Join(e.data, "models", "mlperf_tiny_kws_int8.tflite"))
	if err != nil {
		return "", false, err
	}
	if _, err := e.edgerun(ctx, "sign", path, "--key", key); err != nil {
		return "", false, err
	}
	pub := strings.TrimSuffix(key, ".pem") + ".pub.pem"
	if _, err := e.edgerun(ctx, "verify", path, "--key", pub); err != nil {
		return "", false, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false, err
	}
	tried, refused := 0, 0
	for at := 0; at < len(b); at += max(1, len(b)/97) {
		c := slices.Clone(b)
		c[at] ^= 1
		bad := filepath.Join(e.tmp, "tampered.edge")
		if err := os.WriteFile(bad, c, 0o666); err != nil {
			return "", false, err
		}
		tried++
		if _, err := e.edgerun(ctx, "verify", bad, "--key", pub); err != nil {
			refused++
		}
	}
	return fmt.Sprintf("%d of %d changed files refused", refused, tried), tried == refused, nil
}

func arm64Size(ctx context.Context, e *env) (string, bool, error) {
	path, err := e.build(ctx, "linux", "arm64")
	if err != nil {
		return "", false, err
	}
	n, err := size(path)
	if err != nil {
		return "", false, err
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	static := true
	for _, p := range f.Progs {
		static = static && p.Type != elf.PT_INTERP
	}
	return fmt.Sprintf("%.2f MB, static %v", float64(n)/1e6, static), static && n <= 14e6, nil
}

func crossBuilds(ctx context.Context, e *env) (string, bool, error) {
	var sizes []string
	for _, t := range [][2]string{{"linux", "arm"}, {"linux", "riscv64"}, {"darwin", "arm64"}, {"windows", "amd64"}} {
		path, err := e.build(ctx, t[0], t[1])
		if err != nil {
			return strings.Join(sizes, ", "), false, err
		}
		n, err := size(path)
		if err != nil {
			return "", false, err
		}
		sizes = append(sizes, fmt.Sprintf("%s/%s %.1f MB", t[0], t[1], float64(n)/1e6))
	}
	return strings.Join(sizes, ", "), true, nil
}

func versionTime(ctx context.Context, e *env) (string, bool, error) {
	var times []time.Duration
	for range 21 {
		start := time.Now()
		if _, err := e.edgerun(ctx, "version"); err != nil {
			return "", false, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return fmt.Sprintf("median %.1f ms", float64(times[10])/1e6), times[10] < 20*time.Millisecond, nil
}

func demo(ctx context.Context, e *env) (string, bool, error) {
	start := time.Now()
	_, err := e.edgerun(ctx, "demo")
	took := time.Since(start)
	return fmt.Sprintf("%.1f s", took.Seconds()), err == nil && took < 20*time.Second, err
}

// writeHostile writes the files of package hostile.
func writeHostile(dir string) error {
	for _, f := range hostile.Models() {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// parseMemory reads each model, and files made to take more than their size explains, with inspect --graph, whose memory is that
// of parsing, and compares with the file.
func parseMemory(ctx context.Context, e *env) (string, bool, error) {
	files, err := filepath.Glob(filepath.Join(e.data, "models", "*"))
	if err != nil {
		return "", false, err
	}
	dir := filepath.Join(e.tmp, "hostile")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", false, err
	}
	// Another process makes them: Linux counts the memory of the process that starts a command as the command's.
	if _, err := output(exec.CommandContext(ctx, os.Args[0], "-hostile", dir)); err != nil {
		return "", false, err
	}
	bad, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", false, err
	}
	files = append(files, bad...)
	worst, where := math.Inf(-1), ""
	for _, f := range files {
		n, err := size(f)
		if err != nil {
			return "", false, err
		}
		cmd := exec.CommandContext(ctx, e.bin, "inspect", f, "--graph", "--allow-unsigned")
		// A hostile file ends in an error (1) or is read; a panic would be status 2.
		if _, err := output(cmd); err != nil && (filepath.Dir(f) != dir || cmd.ProcessState.ExitCode() != 1) {
			return "", false, err
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return "", false, fmt.Errorf("no resource usage on %s", runtime.GOOS)
		}
		if over := float64(usage.Maxrss<<10) / float64(2*n+64<<20); over > worst {
			worst, where = over, filepath.Base(f)
		}
	}
	return fmt.Sprintf("%d models and %d hostile files, highest: %s at %.0f %% of its limit (whole process)", len(files)-len(bad), len(bad), where, 100*worst), worst <= 1, nil
}

func fuzzing(ctx context.Context, e *env) (string, bool, error) {
	type target struct{ dir, name string }
	var targets []target
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`).FindAllSubmatch(b, -1) {
			targets = append(targets, target{"./" + filepath.Dir(path), string(m[1])})
		}
		return nil
	})
	if err != nil {
		return "", false, err
	}
	var mu sync.Mutex
	var bad []string
	execs := regexp.MustCompile(`execs: (\d+)`)
	total, least, where := int64(0), int64(-1), ""
	var group sync.WaitGroup
	slots := make(chan struct{}, max(1, e.fuzzers))
	for _, t := range targets {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", e.fuzz.String(), "-parallel", "1", t.dir)
			out, err := cmd.CombinedOutput()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				bad = append(bad, t.name+": "+lastLine(string(out)))
			}
			if m := execs.FindAllSubmatch(out, -1); m != nil {
				n, _ := strconv.ParseInt(string(m[len(m)-1][1]), 10, 64)
				total += n
				if least < 0 || n < least {
					least, where = n, t.dir+" "+t.name
				}
			}
		})
	}
	group.Wait()
	seen := fmt.Sprintf("%d targets, %s each, %d at a time, %d executions (fewest: %d, %s)", len(targets), e.fuzz, e.fuzzers, total, least, where)
	if len(bad) > 0 {
		seen += "; " + strings.Join(bad, "; ")
	}
	return seen, len(bad) == 0 && len(targets) >= 5, nil
}

func runTests(ctx context.Context, e *env) (string, bool, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-race", "-short", "-run", "TestRunAllocatesNothing|TestEightSessions|TestRace", "-v", "./runtime/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.CombinedOutput()
	passed := strings.Count(string(out), "--- PASS")
	plain, err2 := exec.CommandContext(ctx, "go", "test", "-run", "TestRunAllocatesNothing", "-v", "./runtime").CombinedOutput()
	passed += strings.Count(string(plain), "--- PASS")
	return fmt.Sprintf("%d passed", passed), err == nil && err2 == nil && passed > 0, errors.Join(err, err2)
}
