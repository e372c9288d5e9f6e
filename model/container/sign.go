package container

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
)

// Signature is one signature of a file.
type Signature struct {
	Algorithm Algorithm
	Key       KeyID
	Bytes     []byte
}

// payloadPrefix keeps a signature of a model from being taken for one of anything else.
const payloadPrefix = "edgerun .edge signature 1\n"

// payload is what is signed: the prefix and the SHA-256 of header and manifest.
func payloadOf(d [32]byte) []byte { return append([]byte(payloadPrefix), d[:]...) }

// sigBytes is the signature block: magic, count and length, then algorithm, a zero, length, key id and bytes of each.
func sigBytes(sigs []Signature) []byte {
	var b []byte
	for _, s := range sigs {
		b = append(b, byte(s.Algorithm), 0)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(s.Bytes)))
		b = append(append(b, s.Key[:]...), s.Bytes...)
	}
	h := binary.LittleEndian.AppendUint32([]byte(sigMagic), uint32(len(sigs)))
	return append(binary.LittleEndian.AppendUint32(h, uint32(len(b))), b...)
}

func parseSigs(b []byte, count uint32) ([]Signature, error) {
	if count > MaxSignatures {
		return nil, bad("%d signatures: at most %d are possible", count, MaxSignatures)
	}
	var list []Signature
	for i := range int(count) {
		if len(b) < 4+KeyIDSize {
			return nil, bad("signature %d: truncated", i)
		}
		n := int(binary.LittleEndian.Uint16(b[2:]))
		if b[1] != 0 || len(b) < 4+KeyIDSize+n {
			return nil, bad("signature %d: %d bytes, %d are left", i, n, len(b)-4-KeyIDSize)
		}
		s := Signature{Algorithm(b[0]), KeyID(b[4 : 4+KeyIDSize]), b[4+KeyIDSize : 4+KeyIDSize+n]}
		if i > 0 && bytes.Compare(list[i-1].Key[:], s.Key[:]) >= 0 {
			return nil, bad("signature %d: key ids do not ascend", i)
		}
		list = append(list, s)
		b = b[4+KeyIDSize+n:]
	}
	if len(b) != 0 {
		return nil, bad("signatures: %d bytes too many", len(b))
	}
	return list, nil
}

// verify holds the signatures to the policy.
func (e *envelope) verify(p Policy) error {
	payload := payloadOf(e.digest)
	good := map[KeyID]bool{}
	for _, s := range e.sigs {
		i := slices.IndexFunc(p.Trusted, func(k PublicKey) bool { return k.key != nil && k.id == s.Key })
		if i < 0 {
			continue
		}
		if k := p.Trusted[i]; s.Algorithm != k.alg || !k.verify(payload, s.Bytes) {
			return fmt.Errorf("signature of key %v is wrong: %w", s.Key, ErrSignature)
		}
		good[s.Key] = true
	}
	want := max(p.Threshold, 1)
	switch {
	case p.AllowUnsigned || len(good) >= want:
		return nil
	case len(p.Trusted) == 0:
		return fmt.Errorf("no trusted key is given: %w", ErrSignature)
	case len(e.sigs) == 0:
		return fmt.Errorf("the file is not signed: %w", ErrSignature)
	}
	return fmt.Errorf("%d of %d needed trusted keys have signed, the file has %d signatures: %w", len(good), want, len(e.sigs), ErrSignature)
}

// Verify opens a file under the policy, checks all its chunks and lists the trusted keys that have signed it.
func Verify(path string, p Policy) ([]KeyID, error) {
	f, err := Open(path, p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var ids []KeyID
	for _, s := range f.sigs {
		if slices.ContainsFunc(p.Trusted, func(k PublicKey) bool { return k.id == s.Key }) {
			ids = append(ids, s.Key)
		}
	}
	return ids, nil
}

// Payload is what a signer signs, after the file has been found whole.
func Payload(path string) ([]byte, error) {
	f, err := Open(path, Policy{AllowUnsigned: true})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return payloadOf(f.digest), nil
}

// Sign adds key's signature to the file, or replaces the one that it has of this key.
func Sign(path string, key crypto.Signer) error {
	pub, err := NewPublicKey(key.Public())
	if err != nil {
		return err
	}
	return SignExternal(path, pub, func(payload []byte) ([]byte, error) {
		if pub.alg == Ed25519 {
			return key.Sign(nil, payload, crypto.Hash(0))
		}
		h := sha256.Sum256(payload)
		return key.Sign(nil, h[:], crypto.SHA256)
	})
}

// SignExternal is Sign with a signer outside: sign gets the payload and returns the signature of pub over it (see
// Algorithm for its form).
func SignExternal(path string, pub PublicKey, sign func(payload []byte) ([]byte, error)) error {
	payload, err := Payload(path)
	if err != nil {
		return err
	}
	sig, err := sign(payload)
	if err != nil {
		return fmt.Errorf("signing with key %v: %w", pub.id, err)
	}
	return Attach(path, pub, sig)
}

// Attach adds a signature of pub that was made elsewhere over Payload's bytes. The file is replaced whole or not at all.
func Attach(path string, pub PublicKey, sig []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	e, err := readEnvelope(f, st.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if !pub.verify(payloadOf(e.digest), sig) {
		return fmt.Errorf("%s: signature of key %v is wrong: %w", path, pub.id, ErrSignature)
	}
	sigs := slices.DeleteFunc(e.sigs, func(s Signature) bool { return s.Key == pub.id })
	sigs = append(sigs, Signature{pub.alg, pub.id, sig})
	slices.SortFunc(sigs, func(a, b Signature) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	block := sigBytes(sigs)
	if len(sigs) > MaxSignatures || len(block)-sigHeader > maxSigs {
		return fmt.Errorf("%s: at most %d signatures are possible", path, MaxSignatures)
	}
	head := io.NewSectionReader(f, 0, headerSize+int64(e.header.stored))
	chunks := io.NewSectionReader(f, e.base, int64(e.header.area))
	return replace(path, st.Mode().Perm(), func(w io.Writer) error {
		_, err := io.Copy(w, io.MultiReader(head, bytes.NewReader(block), chunks))
		return err
	})
}
