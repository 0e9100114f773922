"""A registry on a free loopback port, for as long as this process lives."""

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import time

import layers


class Registry:
    """One docker-registry process; it ends with this one."""

    def __init__(self, state, name, auth=""):
        self.address, folder = f"127.0.0.1:{free_port()}", f"{state}/{name}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}.yml", "w", encoding="utf-8") as settings:
            settings.write(f"version: 0.1\nlog: {{level: error}}\n"
                           f"storage: {{filesystem: {{rootdirectory: {folder}}}}}\n"
                           f"http: {{addr: '{self.address}'}}\n{auth}")
        environment = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
        with open(f"{folder}.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", f"{folder}.yml"],
                                            stdout=log, stderr=log, env=environment,
                                            preexec_fn=end_with_parent)
        self.authorization = None
        wait_for(self.address)

    def call(self, method, path, body=b"", content_type="application/octet-stream"):
        """One request; answers status and Location."""
        headers = {"Content-Type": content_type}
        if self.authorization:
            headers["Authorization"] = self.authorization
        connection = http.client.HTTPConnection(self.address, timeout=120)
        connection.request(method, path.removeprefix(f"http://{self.address}"), body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 400 and method != "HEAD":
            raise RuntimeError(f"{method} {path} was answered {answer.status}")
        return answer.status, answer.getheader("Location")

    def push(self, name, image, tag):
        """Uploads what the registry does not have yet, the manifest last."""
        for member in getattr(image, "images", []):
            self.push(name, member, layers.digest(member.manifest))
        for digest, data in getattr(image, "blobs", {}).items():
            self.push_blob(name, digest, data)
        self.call("PUT", f"/v2/{name}/manifests/{tag}", image.manifest, image.type)

    def push_blob(self, name, digest, data):
        """Uploads a blob that the registry does not have yet."""
        if self.call("HEAD", f"/v2/{name}/blobs/{digest}")[0] != 200:
            _, upload = self.call("POST", f"/v2/{name}/blobs/uploads/")
            self.call("PUT", f"{upload}{'&' if '?' in upload else '?'}digest={digest}", data)


def end_with_parent():
    """The kernel ends the child when this process is gone, however it ended."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address):
    host, port = address.split(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {address} after ten seconds")
