package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/knob"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/runtime"
)

func signCommand() *cobra.Command {
	var key, payload, signature, public string
	cmd := &cobra.Command{
		Use:   "sign MODEL.edge",
		Short: "sign an .edge file",
		Long: `Adds a signature to an .edge file, in place.

With --key the private key is read from a file. Keys that never leave an HSM or KMS sign in two
steps: --payload FILE writes the bytes to sign, --signature FILE --public FILE.pub.pem adds what
came back.`,
		Example: `  edgerun sign model.edge --key release.pem
  edgerun sign model.edge --payload to-sign.bin
  edgerun sign model.edge --signature signed.bin --public release.pub.pem`,
		Args: exactArgs(1, "one MODEL.edge"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case key != "" && payload == "" && signature == "":
				k, err := container.LoadPrivate(key)
				if err != nil {
					return err
				}
				if err := container.Sign(args[0], k); err != nil {
					return err
				}
				pub, err := container.NewPublicKey(k.Public())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: signed by %s\n", args[0], pub.ID())
				return err
			case payload != "" && key == "" && signature == "":
				b, err := container.Payload(args[0])
				if err != nil {
					return err
				}
				if err := os.WriteFile(payload, b, 0o644); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes to sign\n", payload, len(b))
				return err
			case signature != "" && public != "" && key == "":
				pub, err := container.LoadPublic(public)
				if err != nil {
					return err
				}
				b, err := os.ReadFile(signature)
				if err != nil {
					return err
				}
				if err := container.Attach(args[0], pub, b); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: signed by %s\n", args[0], pub.ID())
				return err
			}
			return usagef("give --key, or --payload, or --signature with --public")
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "`FILE.pem` of the private key")
	f.StringVar(&payload, "payload", "", "write the bytes to sign to `FILE`")
	f.StringVar(&signature, "signature", "", "`FILE` with a signature made elsewhere")
	f.StringVar(&public, "public", "", "`FILE.pub.pem` of the key that --signature belongs to")
	return cmd
}

// explain adds to an error about signatures what to do where no key is trusted.
func explain(err error, trusted int) error {
	if errors.Is(err, container.ErrSignature) && trusted == 0 {
		return fmt.Errorf("%w (no key is trusted: give --key FILE.pub.pem, or put keys into $EDGERUN_KEYS)", err)
	}
	return err
}

func verifyCommand() *cobra.Command {
	var keys []string
	var threshold int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "verify MODEL.edge",
		Short:   "check an .edge file's signatures and every byte of it",
		Example: "  edgerun verify model.edge --key release.pub.pem",
		Args:    exactArgs(1, "one MODEL.edge"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if threshold < 1 {
				return usagef("--threshold must be positive")
			}
			trusted, err := runtime.TrustedKeys(keys, knob.Keys.Value())
			if err != nil {
				return err
			}
			p := container.Policy{Trusted: trusted, Threshold: threshold}
			ids, err := container.Verify(args[0], p)
			if err != nil {
				return explain(err, len(trusted))
			}
			f, err := container.Open(args[0], p)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := f.Check(); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			signers := make([]string, len(ids))
			for i, id := range ids {
				signers[i] = id.String()
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"schema": "edgerun.verify/1", "file": args[0], "digest": f.Digest(), "signed_by": signers, "chunks": len(f.Chunks())})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good, %d chunks, digest %s\n", args[0], len(f.Chunks()), f.Digest())
			for _, id := range signers {
				fmt.Fprintf(cmd.OutOrStdout(), "signed by %s\n", id)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&keys, "key", nil, "`FILE.pub.pem` of a key to trust (repeatable; default: those in $EDGERUN_KEYS)")
	f.IntVar(&threshold, "threshold", 1, "`N` trusted keys must have signed")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
