"""Finds phrases in comments, pages, log texts and test names that a reader has to read twice."""

import ast
import re
import subprocess
import sys
from pathlib import Path

SUBJECT = "name the subject"
RULES = [  # (what to say instead, the phrase in a sentence)
    ("a brief says what this does, not that it does the same",
     re.compile(r"^BRIEF (?:The same|Likewise)\b")),
    (SUBJECT,
     re.compile(r"^(?:BRIEF )?(?:Who|What|Whoever|Whatever) (?!to )(?!.*\?\W*$)")),
    ("'is not a', or 'has no'",
     re.compile(r"(?<!\b[Tt]here )\bis no (?!longer\b|more\b|less\b|fewer\b|better\b|worse\b|\w+er than\b)")),
    ("'belongs in' or 'belongs to'", re.compile(r"\bbelongs? into\b")),
]
CPP = re.compile(
    r'R"(?P<end>[^(\s]*)\([\s\S]*?\)(?P=end)"|(?P<text>"(?:\\.|[^"\\\n])*")|\'(?:\\.|[^\'\\\n])+\'|(?P<comment>//.*)')
MJS = re.compile(r"`[^`]*`|(?P<text>'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")|(?P<comment>//.*)")
NAME = re.compile(r"\b(?:TEST_CASE|SECTION|test|it|describe)\(\s*$")
ITEM = re.compile(r"(?:[-*+>]|\d+\.) +")
# Verbs that stand alone, and words that begin a clause, which has a verb of its own.
CLAUSE = re.compile(r"\b(?:that|which|who|whose|when|if|unless|until|because|as|while|where|so|and|or)\b")
VERB = re.compile(r"""\b(?:is|are|was|were|has|have|had|does|did|can|cannot|could|may|might|must|will|would|
    should|arrives?|belongs?|comes?|costs?|counts?|ends?|gets?|goes|gives?|reads|keeps?|learns?|leaves?|lies|looks?|
    makes?|means?|needs?|reaches|stays?|takes?|waits?|fits?|throws?|sends|returns|stands|follows|depends|happens|holds|undoes|
    (?<!is\ )(?<!are\ )(?<!was\ )(?<!were\ )(?<!has\ )(?<!have\ )(?<!be\ )(?:sent|answered|accepted))\b""", re.X)
COMMAND = re.compile(r"[@\\](?:(?:t?param|throws?|exception|retval)\S* +\S+|par (?:Thread safety|\S+)|\w+)\s*")


def blocks_of_code(text, syntax, log_texts):
    """(kind, [(line, words)]): comments that follow each other are one block, and so are literals."""
    blocks = []
    for found in syntax.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        before = text[:found.start()]
        if found["comment"]:
            own = not before.rpartition("\n")[2].strip()
            marks = re.match(r"//[/!]?<?", found["comment"])[0]
            kind, words = "brief" if len(marks) > 2 else "comment", found["comment"][len(marks):]
            joins = own and not marks.endswith("<")
        elif found["text"]:
            kind, words = "log", found["text"][1:-1].replace("\\", "")
            joins = bool(blocks) and blocks[-1][0] in ("name", "log") and bool(
                re.search(r'["\']\s*$', before))
            if NAME.search(before):
                kind, joins = "name", False
            elif joins:
                kind = blocks[-1][0]
            elif not log_texts or " " not in words:
                continue
        else:
            continue
        if joins and blocks and blocks[-1][0] == kind and blocks[-1][1][-1][0] >= line - 1:
            blocks[-1][1].append((line, words))
        else:
            blocks.append((kind, [(line, words)]))
    return blocks


def blocks_of_hashes(text):
    blocks = []
    for line, code in enumerate(text.splitlines(), 1):
        found = re.match(r"\s*#(?!!)(.*)", code) or re.search(r"\s# ([A-Za-z].*)$", code)
        if found and blocks and blocks[-1][1][-1][0] == line - 1 and code.lstrip().startswith("#"):
            blocks[-1][1].append((line, found[1]))
        elif found:
            blocks.append(("comment", [(line, found[1])]))
    return blocks


def blocks_of_python(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node):
                first = node.body[0]
                yield "brief", list(enumerate(first.value.value.splitlines(), first.lineno))
            if getattr(node, "name", "").startswith("test_"):
                yield "name", [(node.lineno, node.name[5:].replace("_", " "))]
    yield from blocks_of_hashes(text)


def blocks_of_script(text):
    yield from blocks_of_hashes(text)
    for usage in re.finditer(r"<<'(\w+)'\n(.*?)\n\1\n", text, re.S):
        first = text.count("\n", 0, usage.start(2)) + 1
        yield "comment", list(enumerate(usage[2].splitlines(), first))


def blocks_of_page(text):
    """Without code, headings and the first cell of a table's row, which is a label."""
    lines, code = [], False
    for line, words in enumerate(text.splitlines(), 1):
        fence = words.lstrip().startswith("```")
        code ^= fence
        if words.startswith("|"):
            yield from (("comment", [(line, cell)]) for cell in re.split(r"(?<!\\)\|", words)[2:])
        if fence or code or words.startswith(("#", "|", "    ")):
            words = ""
        lines.append((line, words))
    yield "comment", lines


def blocks_of(path, text):
    if path.suffix in (".hpp", ".ipp", ".cpp", ".dox"):
        return blocks_of_code(text, CPP, path.parts[0] == "include")
    if path.suffix in (".mjs", ".js"):
        return blocks_of_code(text, MJS, False)
    if path.suffix == ".py":
        return blocks_of_python(text)
    if path.suffix == ".md":
        return blocks_of_page(text)
    if path.suffix == ".sh" or path.name == "run":
        return blocks_of_script(text)
    return blocks_of_hashes(text)


def sentences(kind, lines):
    """(line, sentence); 'BRIEF ' stands before the first one of a documentation comment."""
    paragraphs = [[]]
    for line, words in lines:
        words = words.strip()
        begins = kind != "name" and (ITEM.match(words) or COMMAND.match(words))
        if begins or not words:
            paragraphs.append([])
        words = words[begins.end():] if begins else words
        if words:
            paragraphs[-1].append((line, words))
    paragraphs = [paragraph for paragraph in paragraphs if paragraph]
    for number, paragraph in enumerate(paragraphs):
        text, starts = "", []
        for line, words in paragraph:
            starts.append((len(text), line))
            text += words + " "
        ends = [found.end() for found in re.finditer(r'[.!?][)"`*]* +(?=["`*(]*[A-Z])', text)]
        for begin, end in zip([0, *ends], [*ends, len(text)]):
            line = [line for start, line in starts if start <= begin][-1]
            sentence = text[begin:end].strip(' "`*(')
            if kind == "name":  # behind the name of a part: "listen: a client that ..."
                sentence = re.sub(r"^[\w ]+: ", "", sentence)
                sentence = sentence[:1].upper() + sentence[1:]
            yield line, "BRIEF " * (kind == "brief" and number == 0 == begin) + sentence


def is_subject(sentence):
    """Whether a main verb follows that of the first clause."""
    words = re.split(r"[:;]", sentence)[0]
    verbs, in_clause = 0, False
    for found in sorted([*VERB.finditer(words), *CLAUSE.finditer(words[1:])], key=lambda found: found.start()):
        if found.re is CLAUSE:
            in_clause = True
        else:
            verbs += not in_clause
            in_clause = False
    return verbs > 1


def findings(path, text):
    for kind, lines in blocks_of(path, text):
        for line, sentence in sentences(kind, lines):
            for advice, phrase in RULES:
                if phrase.search(sentence) and (
                        advice != SUBJECT or kind == "name" or is_subject(sentence)):
                    yield line, advice, sentence.removeprefix("BRIEF ")


def files(top):
    patterns = ["*.hpp", "*.ipp", "*.cpp", "*.dox", "*.py", "*.mjs", "*.js", "*.md", "*.sh", "*.cmake",
                "*CMakeLists.txt", ".ci/run", ".github/*.yml"]
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
                             *patterns], cwd=top, check=True, text=True, stdout=subprocess.PIPE)
    names = set(listed.stdout.split("\0")) - {"", "tests/boundary/words_test.py"}  # full of examples
    return [Path(name) for name in sorted(names) if Path(top, name).is_file()]


def main(top, chosen):
    wrong = 0
    for path in files(top):
        if chosen and not any(path.as_posix().startswith(folder) for folder in chosen):
            continue
        for line, advice, sentence in sorted(findings(path, Path(top, path).read_text())):
            print(f"{path}:{line}: {advice}: {sentence}")
            wrong += 1
    print(f"{wrong} phrases" if wrong else "no phrase has to be read twice")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
