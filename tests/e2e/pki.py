"""Certificates for one run, made by openssl: authorities, and what they sign."""

from __future__ import annotations

import pathlib
import subprocess


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def authority(folder: pathlib.Path, name: str) -> None:
    """NAME.pem and NAME.key."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"))


def certificate(folder: pathlib.Path, name: str, subject_alternative: str, signed_by: str, days: str = "2",
                usage: str = "serverAuth") -> None:
    """NAME.pem, signed by that authority, and NAME.key."""
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={subject_alternative}\nextendedKeyUsage={usage}\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
            "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.csr"))
    openssl("x509", "-req", "-in", str(folder / f"{name}.csr"), "-CA", str(folder / f"{signed_by}.pem"), "-CAkey", str(folder / f"{signed_by}.key"),
            "-CAcreateserial", "-days", days, "-extfile", str(extensions), "-out", str(folder / f"{name}.pem"))
    (folder / f"{name}.key").chmod(0o600)
