package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestVerify(t *testing.T) {
	dir, edge, key, pub := stored(t)
	fail(t, failing{1, []string{"verify", edge, "--key", pub}, "signature not acceptable"}, failing{1, []string{"verify", edge}, "no key is trusted"})
	call(t, 0, "sign", edge, "--key", key)
	other := filepath.Join(dir, "other.pem")
	call(t, 0, "keys", "new", other)
	stdout, _ := call(t, 0, "verify", edge, "--key", pub)
	contains(t, stdout, "digits.edge: good, ", "signed by ")
	v := parse(t, "edgerun.verify/1", "verify", edge, "--key", pub, "--json")
	if len(v["signed_by"].([]any)) != 1 || v["digest"] == "" || v["chunks"].(float64) < 1 {
		t.Errorf("%v", v)
	}
	fail(t,
		failing{1, []string{"verify", edge, "--key", filepath.Join(dir, "other.pub.pem")}, "0 of 1 needed trusted keys"},
		failing{1, []string{"verify", edge, "--key", pub, "--threshold", "2"}, "1 of 2 needed trusted keys"},
		failing{2, []string{"verify", edge, "--key", pub, "--threshold", "0"}, "--threshold must be positive"},
		failing{1, []string{"verify", filepath.Join(dir, "digits.onnx"), "--key", pub}, "no .edge file"},
		failing{1, []string{"verify", filepath.Join(dir, "missing.edge"), "--key", pub}, "missing.edge"})
	call(t, 0, "sign", edge, "--key", other)
	call(t, 0, "verify", edge, "--key", pub, "--key", filepath.Join(dir, "other.pub.pem"), "--threshold", "2")
	// A changed byte is refused.
	b, err := os.ReadFile(edge)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	write(t, edge, b)
	fail(t, failing{1, []string{"verify", edge, "--key", pub}, "digits.edge"})
}
