package cases

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir); err == nil {
		t.Error("a missing list was read")
	}
	text := `[{"name": "a", "model": "x/a.onnx", "inputs": {"y": [], "x": [1,3]}, "precision": "bf16", "peers": ["p"]}, {"name": "b", "model": "@net", "precision": "fp32"}]`
	if err := os.WriteFile(filepath.Join(dir, "cases.json"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	list, err := Read(dir)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	if got, want := list[0].Flags(), []string{"--precision", "bf16", "--shape", "x=1,3", "--shape", "y="}; !slices.Equal(got, want) {
		t.Errorf("flags %q", got)
	}
	t.Setenv("HOME", "/h")
	for i, want := range []string{filepath.Join(dir, "..", "data", "models", "x", "a.onnx"), "/h/.cache/edgerun-peers/net.onnx"} {
		if got, err := list[i].File(dir); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

// What is written can be read, and sums up to the same.
func TestRows(t *testing.T) {
	rows := []Row{
		{Case: "a", Threads: 1, MS: 1, Peer: "p", PeerMS: 4, Others: "q 5, r fails", Share: .5, MiB: 3, LeastMiB: 4},
		{Case: "a", Threads: 2, MS: 2, Peer: "p", PeerMS: 2, MiB: 6, LeastMiB: 4},
		{Case: "b", Threads: 1, MS: .02, Peer: "p", PeerMS: .01, MiB: 9, LeastMiB: 1},
		{Case: "c", Threads: 1, MS: .02, Peer: "p", PeerMS: .04},
		{Case: "d", Threads: 1, MS: 3},
	}
	page := "# Page\n\n" + Head
	for _, r := range rows {
		page += r.String() + "\n"
	}
	page += "\n| other | table |\n|---|---|\n| a | 1 |\n"
	if got := Parse(page); !slices.Equal(got, rows) {
		t.Errorf("got %+v", got)
	}
	s := Summarise(rows)
	want := Summary{Rows: 2, Ahead: 1, Mean: 2, Worst: 1, WorstCase: "a on 2", Heavy: 1, Heaviest: 1.5, HeaviestCase: "a on 2", Small: 2, SmallBehind: 1, SmallWorst: .5, SmallWorstCase: "b on 1"}
	if math.Abs(s.Mean-2) < 1e-9 {
		s.Mean = 2
	}
	if s != want {
		t.Errorf("got %+v", s)
	}
	// A row in which edgerun fails is the worst one.
	rows[1].MS = 0
	page = Head + rows[1].String()
	if !strings.Contains(page, "| fails | p 2 |  |") {
		t.Error(page)
	}
	if s := Summarise(Parse(page)); s.Rows != 1 || s.Mean != 0 || s.Worst != 0 {
		t.Errorf("got %+v", s)
	}
}
