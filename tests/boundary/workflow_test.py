"""The files under .github that GitHub reads are well-formed, and the workflow calls scripts that exist."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

EXPRESSION = re.compile(r"\$\{\{ *matrix\.(\w+) *\}\}")
SCRIPT = re.compile(r"(?:\.ci/run|\bcmake/[\w-]+\.sh)\b")


def commands(workflow):
    """Each shell line of each job, once for each entry of its matrix."""
    for job in workflow["jobs"].values():
        for entry in job.get("strategy", {}).get("matrix", {}).get("include", [{}]):
            for step in job["steps"]:
                for line in step.get("run", "").replace("\\\n", " ").splitlines():
                    yield EXPRESSION.sub(lambda found: entry.get(found[1], ""), line).strip()


def faults_of_workflow(top, workflow):
    steps = subprocess.run([top / ".ci/run", "--list"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    run = []
    for command in commands(workflow):
        for script in SCRIPT.findall(command):
            if not (top / script).is_file():
                yield f"'{command}': there is no {script}"
            elif subprocess.run([top / script, "--help"] if script == ".ci/run" else
                                ["sh", top / script, "--help"], stdout=subprocess.DEVNULL).returncode:
                yield f"'{command}': {script} --help fails"
        if command.startswith(".ci/run"):
            run += command.split()[1:]
    yield from (f".ci/run has no step '{step}'" for step in sorted(set(run) - set(steps)))
    yield from (f"no job runs the step '{step}'" for step in steps if step not in run)


def faults_of_form(path, form):
    for key in ("name", "description", "body"):
        if not form.get(key):
            yield f"{path}: there is no '{key}'"
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    if len(ids) != len(set(ids)):
        yield f"{path}: two fields have the same id"
    for field in form["body"]:
        needed = "value" if field["type"] == "markdown" else "label"
        if field["type"] not in ("markdown", "input", "textarea", "dropdown", "checkboxes"):
            yield f"{path}: there is no field type '{field['type']}'"
        elif not field["attributes"].get(needed):
            yield f"{path}: a field has no '{needed}'"


def faults(top):
    yield from faults_of_workflow(top, yaml.safe_load((top / ".github/workflows/ci.yml").read_text()))
    for path in sorted((top / ".github/ISSUE_TEMPLATE").glob("*.yml")):
        content = yaml.safe_load(path.read_text())
        if path.name != "config.yml":
            yield from faults_of_form(path, content)


found = list(faults(Path(sys.argv[1]).resolve()))
print("\n".join(found) or "the workflow and the forms are well-formed")
sys.exit(bool(found))
