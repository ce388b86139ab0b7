"""words.py finds the phrases that it is meant to find, and no others."""

import sys
import unittest
from pathlib import Path

import words

FOUND = {
    "a.hpp": [
        "/// The same, for a room.\nvoid f();",
        "/// Likewise for binary messages.\nvoid f();",
        "int a;  ///< The same as a number.",
        "// Who reads slowly is dropped.",
        "/// Sends a text.\n///\n/// What is queued is sent first.",
        "/// Sends a text. What a peer sent\n/// is escaped.",
        "/// @return the room\n/// @param name Whatever it is called is fine.",
        "// A peer that is no browser.",
        "// This belongs into a hook.",
        'TEST_CASE("who only connects is gone", "[x]") {}',
        'TEST_CASE("what is queued "\n          "leaves") {}',
        'TEST_CASE("listen: who is refused gets a 403") {}',
        'TEST_CASE("text that "\n          "is no UTF-8") {}',
    ],
    "include/a.ipp": ['log("the payload is no JSON object");'],
    "a.md": ["Text.\n\nWhoever is on the channel can send.", "- **What is dropped** is counted.",
             "| `option` | What is over it is refused. |"],
    "a.py": ['"""What is installed is found."""', "# Who waits is woken.\n",
             "def test_what_is_sent_comes_back(): pass"],
    "a.mjs": ["test('what is typed is marked', () => {});", "// Who leaves is asked."],
    "a.sh": ["# What is missing is installed.\n", "cat <<'END'\nWhat is missing is installed.\nEND\n"],
    "CMakeLists.txt": ["# What is built is tested.\n", "add(x) # What is built is tested.\n"],
}

PASSED = {
    "a.hpp": [
        "/// Sends a text. The same goes for binary messages.",
        "int a;  ///< What it has counted.",
        "/// What to do with a full outbox.",
        "// What is sent first? The text is.",
        "/// The state is no longer read, and there is no other. It is no slower than that.",
        "// Those who read slowly are dropped.",
        "const auto url = \"ws://What is this is no comment\";",
        'TEST_CASE("a client that only connects is gone") {}',
    ],
    "tests/a.cpp": ['log("the payload is no JSON object");'],
    "a.md": ["# What is supported is this\n", "```\nWhat is here is code.\n```\n",
             "| What is asked is here | The answer |", "It belongs in a hook."],
    "a.py": ["def what_is_sent_comes_back(): pass", "x = 'What is here is text'"],
    "a.sh": ["#!/bin/sh\necho 'What is here is text'\n"],
}


class Words(unittest.TestCase):
    def test_phrases_are_found(self):
        self.check(FOUND, 1)

    def test_plain_words_pass(self):
        self.check(PASSED, 0)

    def test_the_line_of_a_phrase_is_that_where_its_sentence_begins(self):
        text = "int a;\n/// Sends a text, and\n/// waits. What is\n/// queued is sent first.\n"
        self.assertEqual([line for line, *_ in words.findings(Path("a.hpp"), text)], [3])

    def check(self, examples, expected):
        for path, texts in examples.items():
            for text in texts:
                with self.subTest(path, text=text):
                    self.assertEqual(len(list(words.findings(Path(path), text))), expected)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
