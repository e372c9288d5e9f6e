package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("EDGERUN_KEYS", filepath.Join(dir, "trusted"))
	stdout, stderr := call(t, 0, "keys", "list")
	contains(t, stderr, "no key in ")
	if stdout != "" {
		t.Errorf("%q", stdout)
	}
	key, pub := filepath.Join(dir, "a.pem"), filepath.Join(dir, "a.pub.pem")
	stdout, _ = call(t, 0, "keys", "new", key)
	contains(t, stdout, "a.pem  private key", "a.pub.pem  public key", "id ")
	_, id, _ := strings.Cut(strings.TrimSpace(stdout), "id ")
	call(t, 0, "keys", "new", filepath.Join(dir, "b.pem"), "--algorithm", "ecdsa-p256")
	stdout, _ = call(t, 0, "keys", "show", pub, filepath.Join(dir, "b.pub.pem"))
	contains(t, stdout, id+"  ed25519", "ecdsa-p256")
	stdout, _ = call(t, 0, "keys", "trust", pub)
	contains(t, stdout, id+"  trusted")
	stdout, _ = call(t, 0, "keys", "list")
	contains(t, stdout, id+"  ed25519")
	write(t, filepath.Join(dir, "c.pub.pem"), nil)
	fail(t,
		failing{1, []string{"keys", "new", key}, "exists already"},
		failing{1, []string{"keys", "new", filepath.Join(dir, "c.pem")}, "c.pub.pem exists already"},
		failing{1, []string{"keys", "new", filepath.Join(dir, "no", "d.pem")}, "no such file"},
		failing{2, []string{"keys", "new", filepath.Join(dir, "d.pem"), "--algorithm", "rsa"}, "--algorithm"},
		failing{1, []string{"keys", "show", key}, "PUBLIC KEY"},
		failing{1, []string{"keys", "trust", filepath.Join(dir, "missing.pem")}, "missing.pem"},
		failing{2, []string{"keys", "nonsense"}, "new, show, trust and list"},
		failing{2, []string{"keys", "new"}, "one FILE.pem"}, failing{2, []string{"keys", "show"}, "one or more files"})
	t.Setenv("EDGERUN_KEYS", "")
	fail(t, failing{1, []string{"keys", "trust", pub}, "set EDGERUN_KEYS"})
}
