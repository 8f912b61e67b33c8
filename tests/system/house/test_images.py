"""The container image's form, and the example for Kubernetes. Whether the image serves is tested by packaging/test-image.sh."""
import os
import re
import shutil
import subprocess

import pytest
import yaml

from qcc import ROOT, SUPERVISOR

EXAMPLE = ROOT / "packaging/kubernetes.yaml"
IMAGE = (ROOT / "packaging/image.sh").read_text(encoding="utf-8")
PAGE = (ROOT / "packaging/man/qcc-container.7.md").read_text(encoding="utf-8")


# ---- the image

@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A Debian package as far as the image looks into it. In the programs' place stands one that is small: with the sanitizers'
    the image would take a minute to pack."""
    for tool in ("dpkg-deb", "readelf"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool} here")
    if not os.path.exists("/etc/ssl/certs/ca-certificates.crt"):
        pytest.skip("there are no CA certificates here")
    arch = subprocess.run(["dpkg", "--print-architecture"], text=True, capture_output=True, check=True).stdout.strip()
    if arch not in ("amd64", "arm64"):
        pytest.skip(f"no image is made for {arch}")
    folder = tmp_path_factory.mktemp("image")
    root = folder / "root"
    for path, name in (("usr/bin", "qcc-supervisor"), ("usr/bin", "qccctl"), ("usr/libexec/qcc", "qcc-worker"),
                       ("usr/libexec/qcc", "qcc-recorder"), ("usr/libexec/qcc", "qcc-link"),
                       ("usr/libexec/qcc", "qcc-service"), ("etc/qcc", "qcc.yaml")):
        (root / path).mkdir(parents=True, exist_ok=True)
        source = {"qcc-service": ROOT / "packaging/qcc-service", "qcc.yaml": ROOT / "conf/qcc.yaml"}.get(name, "/usr/bin/true")
        shutil.copy(source, root / path / name)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(f"Package: qcc\nVersion: 1\nArchitecture: {arch}\nMaintainer: a <a@b.invalid>\nDescription: x\n")
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", root, folder / "qcc.deb"], check=True, capture_output=True)
    return folder, arch


def make(folder, arch, out, **env):
    """A copy of what the script needs stands in the test's folder: others may be making images in the tree."""
    tree = folder / "tree"
    if not tree.exists():
        (tree / "packaging").mkdir(parents=True)
        for name in ("image.sh", "image.yaml"):
            shutil.copy(ROOT / "packaging" / name, tree / "packaging")
    return subprocess.run([tree / "packaging/image.sh", "1.0", arch, folder / "qcc.deb", out], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600", "GZIP": "", **env})


def test_image_has_its_form_and_the_same_bytes_each_time(package):
    folder, arch = package
    done = [make(folder, arch, folder / str(i), TZ=zone, LANG=lang)
            for i, (zone, lang) in enumerate((("UTC", "C"), ("Asia/Tokyo", "C.UTF-8")))]
    assert [d.returncode for d in done] == [0, 0], done[0].stdout
    one, two = (folder / str(i) / f"qcc-image-1.0-{arch}.tar" for i in (0, 1))
    assert one.read_bytes() == two.read_bytes()
    checked = subprocess.run([ROOT / "packaging/check-image.py", one, folder], text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    assert (folder / "entry").read_text().split() == ["/usr/bin/qcc-supervisor", "-c", "/etc/qcc/qcc.yaml"]
    # what is of a whole system, or a package's own configuration, is not in it
    root = folder / "tree/build/image" / arch / "root"
    assert not (root / "usr/libexec/qcc/qcc-service").exists()
    assert (root / "etc/qcc/qcc.yaml").read_text() == (ROOT / "packaging/image.yaml").read_text()


def test_a_changed_byte_is_found(package):
    """The check of the form can fail: for a layer, and for a configuration that runs as root."""
    folder, arch = package
    image = folder / "0" / f"qcc-image-1.0-{arch}.tar"
    if not image.exists():
        make(folder, arch, folder / "0")
    for old, new in ((b'"User":"65532:65532"', b'"User":"00000:00000"'), (b'"StopSignal":"SIGTERM"', b'"StopSignal":"SIGKILL"')):
        data = image.read_bytes()
        assert data.count(old) == 1
        (folder / "bad.tar").write_bytes(data.replace(old, new))
        shutil.rmtree(folder / "layout", ignore_errors=True)
        assert subprocess.run([ROOT / "packaging/check-image.py", folder / "bad.tar", folder], capture_output=True).returncode != 0


def test_image_of_what_is_not_there(package, tmp_path):
    folder, arch = package
    other = "arm64" if arch == "amd64" else "amd64"
    assert "is not for " + other in make(folder, other, tmp_path).stdout
    assert "no image for riscv64" in make(folder, "riscv64", tmp_path).stdout


def test_own_configuration_of_the_image():
    env = {**os.environ, "QCC_TOKEN": "a", "ANTHROPIC_API_KEY": "b"}
    path = ROOT / "packaging/image.yaml"
    done = subprocess.run([SUPERVISOR, "-t", "-c", path], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and done.stdout.endswith(": good\n"), done.stdout
    assert "state_dir: /var/lib/qcc" in path.read_text()


# ---- the example for Kubernetes

# Members of the objects that are used, as `kubectl apply` would check them: a list: one of each of these; a type: such a value.
META = {"name": str, "labels": dict}
SECURITY = {"allowPrivilegeEscalation": bool, "readOnlyRootFilesystem": bool, "capabilities": {"drop": list}}
PROBE = {"httpGet": {"path": str, "port": str, "httpHeaders": [{"name": str, "value": str}]}, "periodSeconds": int,
         "timeoutSeconds": int, "failureThreshold": int}
CONTAINER = {
    "name": str, "image": str, "imagePullPolicy": str, "envFrom": [{"secretRef": {"name": str}}],
    "ports": [{"name": str, "containerPort": int}], "startupProbe": PROBE, "livenessProbe": PROBE, "readinessProbe": PROBE,
    "lifecycle": {"preStop": {"sleep": {"seconds": int}}},
    "resources": {"requests": {"cpu": str, "memory": str}, "limits": {"memory": str}},
    "securityContext": SECURITY, "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}]}
POD = {
    "terminationGracePeriodSeconds": int, "automountServiceAccountToken": bool, "containers": [CONTAINER],
    "securityContext": {"runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int, "fsGroup": int, "seccompProfile": {"type": str}},
    "volumes": [{"name": str, "configMap": {"name": str}, "emptyDir": {"medium": str, "sizeLimit": str}}]}
SELECTOR = {"matchLabels": dict}
KINDS = {
    "Secret": ("v1", {"metadata": META, "type": str, "stringData": dict}),
    "ConfigMap": ("v1", {"metadata": META, "data": dict}),
    "Service": ("v1", {"metadata": META, "spec": {"selector": dict, "ports": [{"name": str, "port": int, "targetPort": str}]}}),
    "PodDisruptionBudget": ("policy/v1", {"metadata": META, "spec": {"maxUnavailable": int, "selector": SELECTOR}}),
    "Deployment": ("apps/v1", {"metadata": META, "spec": {
        "replicas": int, "strategy": {"type": str, "rollingUpdate": {"maxSurge": int, "maxUnavailable": int}},
        "selector": SELECTOR, "template": {"metadata": META, "spec": POD}}}),
}


def misfits(value, form, at):
    """What a strict reader would refuse: unknown members, other types."""
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return [f"{at} is no mapping"]
        return [f for key, v in value.items()
                for f in (misfits(v, form[key], f"{at}.{key}") if key in form else [f"{at}.{key} is not known"])]
    if isinstance(form, list):
        if not isinstance(value, list):
            return [f"{at} is no list"]
        return [f for i, v in enumerate(value) for f in misfits(v, form[0], f"{at}[{i}]")]
    if form is dict:
        good = isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items())
    else:
        good = type(value) is form
    return [] if good else [f"{at} is no {form.__name__}"]


def objects():
    return list(yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8")))


def by_kind():
    found = {o["kind"]: o for o in objects()}
    assert len(found) == len(objects())
    return found


def pod():
    spec = by_kind()["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


def test_objects_have_members_that_exist():
    for o in objects():
        version, form = KINDS[o["kind"]]
        assert o.pop("apiVersion") == version
        kind = o.pop("kind")
        assert misfits(o, form, kind) == []
        assert o["metadata"]["name"] == "qcc"
    assert misfits({"metadata": {"name": 1}, "spce": {}}, KINDS["Service"][1], "S") == ["S.metadata.name is no str", "S.spce is not known"]
    assert set(by_kind()) == set(KINDS)


def test_names_lead_somewhere():
    """Labels, ports, volumes, Secret, ConfigMap: what one object names another one has."""
    kinds = by_kind()
    spec, container = pod()
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (kinds["Deployment"]["spec"]["selector"]["matchLabels"], kinds["Service"]["spec"]["selector"],
                     kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert {p["targetPort"] for p in kinds["Service"]["spec"]["ports"]} == {"http"} <= set(ports)
    assert {container[k]["httpGet"]["port"] for k in container if k.endswith("Probe")} == {"admin"} <= set(ports)
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in spec["volumes"]}
    assert [v["configMap"]["name"] for v in spec["volumes"] if "configMap" in v] == [kinds["ConfigMap"]["metadata"]["name"]]
    assert container["envFrom"] == [{"secretRef": {"name": kinds["Secret"]["metadata"]["name"]}}]


def test_it_is_this_image_and_these_ports(tmp_path):
    """User, folders and ports are the image's, the configuration is good with the Secret's variables, and listens there."""
    spec, container = pod()
    (uid,) = re.findall(r"^uid=(\d+)", IMAGE, re.M)
    security = spec["securityContext"]
    assert {str(security[k]) for k in ("runAsUser", "runAsGroup", "fsGroup")} == {uid} and security["runAsNonRoot"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                            "capabilities": {"drop": ["ALL"]}}
    assert {m["mountPath"] for m in container["volumeMounts"]} == {"/etc/qcc", "/var/lib/qcc", "/run/qcc"}
    assert all(m["mountPath"] in IMAGE for m in container["volumeMounts"])
    text = by_kind()["ConfigMap"]["data"]["qcc.yaml"]
    conf = yaml.safe_load(text)
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert conf["listen"] == [f"0.0.0.0:{ports['http']}"] and conf["admin"]["listen"] == f"0.0.0.0:{ports['admin']}"
    assert conf["state_dir"] in {m["mountPath"] for m in container["volumeMounts"]}
    secret = by_kind()["Secret"]["stringData"]
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(secret)
    (tmp_path / "qcc.yaml").write_text(text)
    done = subprocess.run([SUPERVISOR, "-t", "-c", tmp_path / "qcc.yaml"], env={**os.environ, **secret, "RELAY_KEY": "another"}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and "good" in done.stdout, done.stdout


def test_probes_and_the_time_to_stop():
    """/healthz says whether it is to be started anew, /readyz whether it gets requests; streams end before they are cut."""
    spec, container = pod()
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/healthz"
    ready = container["readinessProbe"]["httpGet"]
    token = by_kind()["Secret"]["stringData"]["QCC_ADMIN_TOKEN"]
    assert ready["path"] == "/readyz" and ready["httpHeaders"] == [{"name": "Authorization", "value": "Bearer " + token}]
    drain = yaml.safe_load(by_kind()["ConfigMap"]["data"]["qcc.yaml"])["limits"]["drain_timeout"]
    assert drain.endswith("m")
    needed = 60 * int(drain[:-1]) + container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert needed + 10 <= spec["terminationGracePeriodSeconds"] <= needed + 60
    assert by_kind()["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_probes_are_answered_so(qcc, raw):
    """What the kubelet does, with the example's paths and header: by the pod's address, which is no name."""
    _, container = pod()
    q = qcc({"admin": {"token": by_kind()["Secret"]["stringData"]["QCC_ADMIN_TOKEN"]}})
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        get = container[probe]["httpGet"]
        headers = {h["name"]: h["value"] for h in get.get("httpHeaders", [])}
        headers.update({"User-Agent": "kube-probe/1.30", "Host": "10.1.2.3:7861"})
        assert q.get(get["path"], port=q.admin_port, headers=headers)[0] == 200, probe
    assert q.get("/readyz", port=q.admin_port, headers={"Host": "10.1.2.3:7861"})[0] == 401


def test_page_tells_what_the_example_has():
    for name in ("livenessProbe", "readinessProbe", "preStop", "terminationGracePeriodSeconds", "volumeClaimTemplates", "cluster"):
        assert f"`{name}`" in PAGE, name
    assert set(re.findall(r"^    kubectl (\w+)", PAGE, re.M)) == {"apply", "rollout", "exec"}
