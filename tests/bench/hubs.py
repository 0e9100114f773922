"""A hub and an nginx on loopback, for benchmarks that ask both for the same."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Hub:
    """`cooperage up` without workers, on a folder of its own."""

    def __init__(self, program, data):
        self.program, self.data = str(program), data
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        data.mkdir(parents=True, exist_ok=True)
        settings = data.parent / "settings.toml"
        settings.write_text("[rates]\nanonymous_per_minute = 0\n")
        command = [self.program, "up", "--data", str(data), "--workers", "0", "--config", str(settings)]
        self.process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: call(self.url + "/healthz"), "the hub")

    def run(self, *arguments):
        command = [self.program, *arguments, "--data", str(self.data), "--format", "json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def memory(self, key):
        """Its memory in MiB, as /proc tells it."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) / 1024
        raise ValueError(key)

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def end(self):
        end(self.process)


def publish(hub, folder, mib):
    """Publishes an image as a worker would, and leaves its file for nginx; gives its path."""
    repository = folder / "repository"
    git = ["git", "-C", str(repository), "-c", "user.name=Bench", "-c", "user.email=bench@localhost"]
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    (repository / "Singularity").write_text("Bootstrap: scratch\n")
    subprocess.run(git + ["add", "--all"], check=True)
    subprocess.run(git + ["commit", "--quiet", "--message=bench"], check=True)
    hub.run("collection", "add", str(repository), "--name", "lab/bench")
    hub.run("collection", "build", "lab/bench")
    token = hub.run("worker", "add", "bench")["token"]

    claim = {"wait_seconds": 30, "architecture": "amd64", "version": "bench"}
    given = json.loads(call(f"{hub.url}/worker/claim", "POST", token, claim))
    build = f"{hub.url}/worker/builds/{given['build']}/{given['attempt']}"
    image = make_image(hub.program, folder, mib)
    digest, md5 = digests(image)
    objects, layout = split(image)
    sizes = [{"digest": name, "size": path.stat().st_size} for name, path in objects.items()]
    call(f"{build}/objects", "POST", token, {"objects": sizes})
    for name, path in objects.items():
        with path.open("rb") as content:
            call(f"{build}/objects/{name}", "PUT", token, content, path.stat().st_size)
        path.unlink()
    facts = {"architecture": "amd64", "definition": "", "labels": {}, "environment": {}}
    outcome = {"state": "succeeded", "digest": digest, "md5": md5, "layout": layout, "facts": facts}
    call(f"{build}/finish", "POST", token, outcome)
    # The hub has signed it: the file is another one than was sent.
    address = json.loads(call(f"{hub.url}/api/container/lab/bench:latest"))["image"]
    (folder / "www").mkdir()
    fetch = ["curl", "--silent", "--fail", "--output", str(folder / "www/image.sif"), address]
    subprocess.run(fetch, check=True)
    return address.removeprefix(hub.url)


def make_image(program, folder, mib):
    """An image of files that do not become smaller."""
    copies = []
    for number in range(mib // 16 or 1):
        (folder / f"file-{number}").write_bytes(os.urandom(min(mib, 16) * 2**20))
        copies.append(f"    {folder}/file-{number} /file-{number}\n")
    definition = folder / "Singularity"
    definition.write_text("Bootstrap: scratch\n\n%files\n" + "".join(copies))
    image = folder / "image.sif"
    environment = {**os.environ, "COOPERAGE_CACHE": str(folder / "cache")}
    subprocess.run([program, "build", str(image), str(definition)], check=True, env=environment,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    for number in range(len(copies)):
        (folder / f"file-{number}").unlink()
    return image


def split(image):
    """A head, three packs and a tail, as an image has them, in place of its file."""
    size = image.stat().st_size
    ends = [2**16, size // 3, size * 2 // 3, size - 2**16, size]
    objects, layout = {}, []
    with image.open("rb") as whole:
        for number, end in enumerate(ends):
            path = image.with_name(f"object-{number}")
            length = end - whole.tell()
            with path.open("wb") as part:
                while length:
                    piece = whole.read(min(length, 2**20))
                    part.write(piece)
                    length -= len(piece)
            name = digests(path)[0]
            objects[name] = path
            layout.append({"object": name, "offset": 0, "length": path.stat().st_size})
    image.unlink()
    return objects, layout


def digests(path):
    with path.open("rb") as content:
        sha256, md5 = hashlib.sha256(), hashlib.md5()
        while piece := content.read(2**20):
            sha256.update(piece)
            md5.update(piece)
    return f"sha256:{sha256.hexdigest()}", md5.hexdigest()


def start_nginx(folder):
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
        events {{ worker_connections 256; }}
        http {{
            access_log off; sendfile on; tcp_nopush on;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
        }}
        """
    )
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    nginx = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: call(address + "/image.sif", "HEAD"), "nginx")
    return nginx, address


def call(url, method="GET", token=None, body=None, size=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if isinstance(body, dict):
        body = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    if size is not None:
        headers["Content-Length"] = str(size)
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


def wait_until(ready, what):
    for _ in range(300):
        try:
            ready()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"waited a minute for {what}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
