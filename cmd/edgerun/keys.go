package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/knob"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/runtime"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "make, show and trust signing keys",
		Long: `Keys are PEM files: a private key (PKCS#8), and a public key (SPKI) beside it as *.pub.pem.
A key's id is the beginning of the SHA-256 of its SPKI form.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("keys has no command %q, but new, show, trust and list", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keysNewCommand(), keysShowCommand(), keysTrustCommand(), keysListCommand())
	return cmd
}

func keysNewCommand() *cobra.Command {
	var algorithm string
	cmd := &cobra.Command{
		Use:     "new FILE.pem",
		Short:   "make a key pair: FILE.pem (private) and FILE.pub.pem",
		Example: "  edgerun keys new release.pem",
		Args:    exactArgs(1, "one FILE.pem"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := container.ParseAlgorithm(algorithm)
			if err != nil {
				return usagef("--algorithm: %w", err)
			}
			k, err := container.GenerateKey(a)
			if err != nil {
				return err
			}
			private, err := container.PrivatePEM(k)
			if err != nil {
				return err
			}
			pub, err := container.NewPublicKey(k.Public())
			if err != nil {
				return err
			}
			public, err := pub.PEM()
			if err != nil {
				return err
			}
			pubPath := strings.TrimSuffix(args[0], ".pem") + ".pub.pem"
			if _, err := os.Stat(pubPath); err == nil {
				return fmt.Errorf("%s exists already", pubPath)
			}
			if err := writeNew(args[0], private, 0o600); err != nil {
				return err
			}
			if err := writeNew(pubPath, public, 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s  private key, keep it secret\n%s  public key\nid %s\n", args[0], pubPath, pub.ID())
			return err
		},
	}
	defer completeFlag(cmd, "algorithm", "ed25519", "ecdsa-p256")
	cmd.Flags().StringVar(&algorithm, "algorithm", "ed25519", "`NAME`: ed25519 or ecdsa-p256")
	return cmd
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func keysShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE.pub.pem …",
		Short:   "print the ids of public keys",
		Example: "  edgerun keys show release.pub.pem",
		Args:    minArgs(1, "one or more files"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, path := range args {
				k, err := container.LoadPublic(path)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %v  %s\n", k.ID(), k.Algorithm(), path)
			}
			return nil
		},
	}
}

func keysTrustCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "trust FILE.pub.pem …",
		Short: "copy public keys into the folder of trusted keys",
		Long: `Copies public keys into the folder of trusted keys, $EDGERUN_KEYS. 'edgerun knobs' tells where
that is.`,
		Example: "  edgerun keys trust release.pub.pem",
		Args:    minArgs(1, "one or more files"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := knob.Keys.Value()
			if dir == "" {
				return errors.New("there is no folder of trusted keys: set EDGERUN_KEYS")
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			for _, path := range args {
				k, err := container.LoadPublic(path)
				if err != nil {
					return err
				}
				b, err := k.PEM()
				if err != nil {
					return err
				}
				to := filepath.Join(dir, k.ID().String()+".pub.pem")
				if err := os.WriteFile(to, b, 0o644); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  trusted\n", k.ID())
			}
			return nil
		},
	}
}

func keysListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the trusted keys",
		Args:  exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := runtime.TrustedKeys(nil, knob.Keys.Value())
			if err != nil {
				return err
			}
			for _, k := range keys {
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %v\n", k.ID(), k.Algorithm())
			}
			if len(keys) == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "no key in %s\n", knob.Keys.Value())
			}
			return nil
		},
	}
}
