"""A private Prometheus that scrapes one standpipe every second."""
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request

from .process import Process, free_port
from .waiting import wait_until

CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: standpipe
    static_configs: [{{targets: ["{target}"]}}]
"""


class Prometheus:
    def __init__(self, folder, target, rules):
        self.folder, self.port, self.process = folder / "prometheus", free_port(), None
        self.folder.mkdir()
        self.file = self.folder / "prometheus.yml"
        self.file.write_text(CONFIGURATION.format(target=target, rules=rules))

    def start(self):
        assert shutil.which("prometheus"), "prometheus is missing: install the package"
        command = ["prometheus", f"--config.file={self.file}", f"--storage.tsdb.path={self.folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}"]
        self.process = Process("prometheus", command, self.folder / "prometheus.log")
        wait_until(lambda: self.get("/-/ready") is not None, "prometheus is ready", 60, [self.process])
        return self

    def get(self, path, **query):
        address = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.read().decode() if refusal.code in (400, 422) else None
        except OSError:
            return None

    def query(self, expression):
        """The samples; an expression that is wrong fails."""
        answer = json.loads(self.get("/api/v1/query", query=expression) or '{"status": "no answer"}')
        assert answer["status"] == "success", f"{expression}: {answer}"
        return answer["data"]["result"]

    def stop(self):
        if self.process and self.process.is_running():
            self.process.stop()
