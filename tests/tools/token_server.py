"""The token server of a registry: anonymous callers may pull public/*, the tester everything."""

import base64
import http.server
import json
import os
import subprocess
import time
import urllib.parse

ACCOUNT = "Basic " + base64.b64encode(b"tester:s3cret").decode()


def encode(data):
    """Base64 as JSON web tokens want it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer(http.server.ThreadingHTTPServer):
    """Gives out tokens signed with a key that the registry trusts."""

    def __init__(self, state):
        self.key, self.certificate = f"{state}/token.key", f"{state}/token.crt"
        if not os.path.exists(self.certificate):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
                            "3650", "-subj", "/CN=test", "-keyout", self.key, "-out",
                            self.certificate], check=True, capture_output=True)
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/token"

    def token_for(self, repository, actions):
        """A token for these actions on the repository."""
        with open(self.certificate, encoding="ascii") as file:
            chain = "".join(line.strip() for line in file if "-----" not in line)
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
        claims = {"iss": "test", "aud": "test", "sub": "", "jti": os.urandom(8).hex(),
                  "iat": now, "nbf": now - 10, "exp": now + 300, "access": [
                      {"type": "repository", "name": repository, "actions": actions}]}
        text = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key],
                                   input=text.encode(), capture_output=True, check=True).stdout
        return f"{text}.{encode(signature)}"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET /token?scope=repository:NAME:ACTIONS."""

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        authorization = self.headers.get("Authorization")
        if authorization not in (None, ACCOUNT):
            self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
            return
        _, repository, _ = (query.get("scope", ["::"])[0] + "::").split(":")[:3]
        allowed = authorization == ACCOUNT or repository.startswith("public/")
        token = self.server.token_for(repository, ["pull"] if allowed else [])
        self.answer(200, {"token": token, "expires_in": 300})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""
