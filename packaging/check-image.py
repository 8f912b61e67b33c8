#!/usr/bin/python3
"""check-image.py IMAGE [FOLDER]: the image is an OCI image layout whose parts have the digests, sizes and types that are said of
them, and is what qcc-container(7) says: user, stop signal, health check, volume, no shell, 40 MB at most. With FOLDER the layout is
unpacked there, with what an engine would read of it: entry, health, env (a word a line), user, layers (paths in the layout)."""
import gzip
import hashlib
import json
import os
import re
import sys
import tarfile
import tempfile

LARGEST = 40_000_000
PROGRAMS = ("usr/bin/qcc-supervisor", "usr/bin/qccctl", "usr/libexec/qcc/qcc-worker", "usr/libexec/qcc/qcc-recorder",
            "usr/libexec/qcc/qcc-link")
OWN = ("./run/qcc", "./var/lib/qcc", "./var/log/qcc")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def read(layout, *path):
    with open(os.path.join(layout, *path), "rb") as f:
        return f.read()


def blob(layout, d):
    """The bytes that a descriptor stands for."""
    assert set(d) >= {"mediaType", "digest", "size"}, d
    data = read(layout, "blobs", *d["digest"].split(":"))
    assert len(data) == d["size"] and "sha256:" + hashlib.sha256(data).hexdigest() == d["digest"], d
    return data


def check_layout(layout):
    """(manifest, configuration) of the one image of the layout."""
    assert json.loads(read(layout, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(read(layout, "index.json"))
    (one,) = index["manifests"]
    assert index["schemaVersion"] == 2 and one["mediaType"] == MANIFEST
    manifest = json.loads(blob(layout, one))
    assert manifest["schemaVersion"] == 2 and manifest["mediaType"] == MANIFEST
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    config = json.loads(blob(layout, manifest["config"]))
    assert one["platform"] == {"architecture": config["architecture"], "os": "linux"} and config["os"] == "linux"
    layers = [blob(layout, d) for d in manifest["layers"]]
    assert all(d["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip" for d in manifest["layers"])
    assert ["sha256:" + hashlib.sha256(gzip.decompress(x)).hexdigest() for x in layers] == config["rootfs"]["diff_ids"]
    named = {d["digest"][7:] for d in [one, manifest["config"], *manifest["layers"]]}
    assert named == set(os.listdir(os.path.join(layout, "blobs/sha256"))), "a blob that nothing names"
    (old,) = json.loads(read(layout, "manifest.json"))
    assert old["Config"] == "blobs/sha256/" + manifest["config"]["digest"][7:]
    assert old["Layers"] == ["blobs/sha256/" + d["digest"][7:] for d in manifest["layers"]]
    return manifest, config


def check_config(c):
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", c["User"]), "a number, so that a cluster sees that it is not root"
    assert c["StopSignal"] == "SIGTERM" and "/var/lib/qcc" in c["Volumes"] and "7860/tcp" in c["ExposedPorts"]
    assert c["Healthcheck"]["Test"][:2] == ["CMD", "/usr/bin/qccctl"] and c["Healthcheck"]["Timeout"] >= 10**9
    assert "QCC_LOG=json" in c["Env"] and "RUNTIME_DIRECTORY=/run/qcc" in c["Env"]


def check_files(layer, uid):
    members = {m.name: m for m in layer}
    for name in PROGRAMS:
        assert members["./" + name].mode & 0o111, name
    for m in members.values():
        own = m.name in OWN
        assert not m.mode & 0o6000, "setuid: " + m.name
        assert (m.uid, m.gid) == ((uid, uid) if own else (0, 0)), m.name
        assert own or m.issym() or m.name == "./tmp" or not m.mode & 0o022, "written by others: " + m.name
        assert m.issym() or m.isfile() or m.isdir() or m.islnk(), m.name
        assert not re.search(r"bin/(ba|da|z)?sh$", m.name), "a shell"


def check(image, folder):
    assert os.path.getsize(image) <= LARGEST, "larger than 40 MB"
    layout = os.path.join(folder, "layout")
    with tarfile.open(image) as tar:
        tar.extractall(layout)
    manifest, config = check_layout(layout)
    c = config["config"]
    check_config(c)
    layers = [os.path.join("blobs", *d["digest"].split(":")) for d in manifest["layers"]]
    with tarfile.open(os.path.join(layout, layers[0])) as layer:
        check_files(layer, int(c["User"].split(":")[0]))
    for name, words in (("entry", c["Entrypoint"] + c["Cmd"]), ("health", c["Healthcheck"]["Test"][1:]), ("env", c["Env"]),
                        ("user", [c["User"]]), ("layers", layers)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write("".join(word + "\n" for word in words))


def main():
    if len(sys.argv) > 2:
        check(sys.argv[1], sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as folder:
            check(sys.argv[1], folder)


if __name__ == "__main__":
    main()
