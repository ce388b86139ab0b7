# SPDX-License-Identifier: MIT
"""What is installed, as pkg-config and the recipes of package managers see it."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import types
import unittest
from collections import defaultdict
from pathlib import Path

MODULES = ["roost", "roost-beast", "roost-beast-tls", "roost-redis", "roost-prometheus",
           "roost-spdlog", "roost-testing"]
HEADERS = ["roost.hpp", "beast.hpp", "beast/tls.hpp", "redis.hpp", "prometheus.hpp", "spdlog.hpp",
           "testing.hpp"]
PACKAGES = {"OpenSSL", "hiredis", "prometheus-cpp", "spdlog"}  # what components need, as CMake finds it


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def version_of_header():
    header = Path(arguments.source, "include/roost/version.hpp").read_text()
    return ".".join(re.findall(r"define ROOST_VERSION_\w+ (\d+)", header))


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.prefix = Path(cls.folder.name)
        subprocess.run([arguments.cmake, "--install", arguments.build, "--prefix", cls.prefix],
                       check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def pkg_config(self, *words):
        found = subprocess.run([arguments.pkg_config, *words], check=True, text=True,
                               stdout=subprocess.PIPE,
                               env={"PKG_CONFIG_PATH": str(self.prefix / "share/pkgconfig")})
        return found.stdout.split()

    def test_every_header_is_installed(self):
        self.assertEqual(files_under(self.prefix / "include"),
                         files_under(Path(arguments.source, "include")))

    def test_every_module_has_the_version_of_the_header(self):
        for module in MODULES:
            self.assertEqual(self.pkg_config("--modversion", module), [version_of_header()])

    def test_cmake_has_the_version_of_the_header(self):
        file, = self.prefix.rglob("roostConfigVersion.cmake")
        self.assertIn(f'set(PACKAGE_VERSION "{version_of_header()}")', file.read_text())

    def test_a_module_links_what_it_needs(self):
        for module, library in {"roost-beast-tls": "-lssl", "roost-redis": "-lhiredis",
                                "roost-prometheus": "-lprometheus-cpp-core",
                                "roost-spdlog": "-lspdlog"}.items():
            self.assertIn(library, self.pkg_config("--libs", module))

    def test_a_program_is_built_with_all_modules(self):
        program = self.prefix / "consumer"
        subprocess.run([arguments.compiler, "-std=c++20", arguments.program, "-o", program,
                        *self.pkg_config("--cflags", "--libs", *MODULES)], check=True)
        subprocess.run([program], check=True)

    def test_the_headers_of_all_modules_compile(self):
        subprocess.run([arguments.compiler, "-std=c++20", "-fsyntax-only", "-x", "c++", "-",
                        *self.pkg_config("--cflags", *MODULES)], check=True, text=True,
                       input="".join(f"#include <roost/{header}>\n" for header in HEADERS))

    def test_a_component_alone_has_all_the_headers_that_it_includes(self):
        for own, needs in {"beast.hpp": set(), "beast/tls.hpp": {"OpenSSL"},
                           "redis.hpp": {"OpenSSL", "hiredis"},
                           "prometheus.hpp": {"prometheus-cpp"}, "spdlog.hpp": {"spdlog"}}.items():
            with self.subTest(own), tempfile.TemporaryDirectory() as folder:
                subprocess.run([arguments.cmake, "-S", arguments.source, "-B", f"{folder}/build",
                                "-G", arguments.generator,
                                f"-DCMAKE_CXX_COMPILER={arguments.compiler}",
                                "-DROOST_INSTALL=ON", "-DROOST_BUILD_TESTS=OFF",
                                "-DROOST_BUILD_EXAMPLES=OFF", f"-DCMAKE_INSTALL_PREFIX={folder}",
                                *(f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}=ON"
                                  for package in PACKAGES - needs)],
                               check=True, stdout=subprocess.DEVNULL)
                subprocess.run([arguments.cmake, "--install", f"{folder}/build"], check=True,
                               stdout=subprocess.DEVNULL)
                include = Path(folder, "include")
                self.assertTrue(Path(include, "roost", own).exists())
                for header in files_under(include):
                    included = re.findall(r'#include ["<](roost/[^">]+)[">]',
                                          Path(include, header).read_text())
                    for name in included:
                        self.assertTrue(Path(include, name).exists(), f"{header} includes {name}")


class Missing(unittest.TestCase):
    def test_examples_and_tests_name_all_that_they_need(self):
        for who, other in (("EXAMPLES", "TESTS"), ("TESTS", "EXAMPLES")):
            with self.subTest(who), tempfile.TemporaryDirectory() as folder:
                configured = subprocess.run(
                    [arguments.cmake, "-S", arguments.source, "-B", folder,
                     "-G", arguments.generator, f"-DCMAKE_CXX_COMPILER={arguments.compiler}",
                     f"-DROOST_BUILD_{other}=OFF",
                     *(f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}=ON" for package in PACKAGES)],
                    text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                self.assertNotEqual(configured.returncode, 0)
                for said in ("libssl-dev", "libhiredis-dev", "prometheus-cpp-dev",
                             f"ROOST_BUILD_{who}=OFF"):
                    self.assertIn(said, configured.stderr)


class Vcpkg(unittest.TestCase):
    port = Path("cmake/packaging/vcpkg/roost")

    def setUp(self):
        self.manifest = json.loads(Path(arguments.source, self.port, "vcpkg.json").read_text())

    def test_the_version_is_that_of_the_header(self):
        self.assertEqual(self.manifest["version-semver"], version_of_header())

    def test_dependencies_are_names_or_objects_with_a_name(self):
        features = self.manifest["features"]
        lists = [self.manifest["dependencies"], *(f["dependencies"] for f in features.values())]
        for dependency in sum(lists, []):
            name = dependency if isinstance(dependency, str) else dependency["name"]
            self.assertRegex(name, r"^[a-z0-9]+(-[a-z0-9]+)*$")

    def test_the_portfile_knows_every_feature(self):
        portfile = Path(arguments.source, self.port, "portfile.cmake").read_text()
        for feature in self.manifest["features"]:
            self.assertRegex(portfile, rf'\b{feature}\b')


class Recorder:
    """Takes any attribute and any call, as Conan's objects do."""

    def __init__(self):
        self.components = defaultdict(Recorder)
        self.properties = {}

    def set_property(self, name, value):
        self.properties[name] = value


class Conan(unittest.TestCase):
    """The recipe, run with what it uses of Conan."""

    def setUp(self):
        modules = {name: types.ModuleType(name) for name in
                   ("conan", "conan.tools", "conan.tools.build", "conan.tools.files")}
        modules["conan"].ConanFile = object
        modules["conan.tools.build"].check_min_cppstd = lambda recipe, standard: None
        modules["conan.tools.files"].copy = self.copy
        sys.modules.update(modules)
        path = Path(arguments.source, "cmake/packaging/conan/conanfile.py")
        scope = {}
        exec(compile(path.read_text(), str(path), "exec"), scope)
        self.recipe = scope["RoostConan"]()
        self.recipe.recipe_folder = str(path.parent)
        self.recipe.export_sources_folder = "sources"
        self.copied = []
        self.required = []
        self.recipe.requires = lambda reference, **traits: self.required.append(reference)
        self.recipe.cpp_info = Recorder()

    def copy(self, recipe, pattern, src, dst):
        self.copied += Path(src).glob(pattern)

    def choose(self, **chosen):
        self.recipe.options = types.SimpleNamespace(**{**self.recipe.default_options, **chosen})

    def test_the_version_is_that_of_the_header(self):
        self.recipe.set_version()
        self.assertEqual(self.recipe.version, version_of_header())

    def test_its_sources_are_there(self):
        self.recipe.export_sources()
        self.assertIn("LICENSE", [path.name for path in self.copied])
        self.assertIn("roost.hpp", [path.name for path in self.copied])

    def test_it_gives_the_targets_of_the_cmake_package(self):
        self.choose(tls=True, redis=True, prometheus=True, spdlog=True)
        self.recipe.package_info()
        targets = {component.properties["cmake_target_name"]
                   for component in self.recipe.cpp_info.components.values()}
        exported = set(re.findall(r"roost_(?:optional_)?library\((?:roost_?\w* )?(\w+)\n",
                                  Path(arguments.source, "cmake/targets.cmake").read_text()))
        self.assertEqual(targets, {f"roost::{name}" for name in exported})

    def test_a_component_requires_what_the_recipe_requires(self):
        self.choose(redis=True)
        self.recipe.requirements()
        self.recipe.package_info()
        packages = {reference.split("/")[0] for reference in self.required}
        used = {name.split("::")[0] for component in self.recipe.cpp_info.components.values()
                for name in component.requires if "::" in name}
        self.assertEqual(used, packages)

    def test_nothing_optional_is_required_unasked(self):
        self.choose()
        self.recipe.requirements()
        self.assertEqual(len(self.required), 2)


parser = argparse.ArgumentParser()
for option in ("source", "build", "cmake", "pkg-config", "compiler", "program", "generator"):
    parser.add_argument(f"--{option}", required=True)
arguments = parser.parse_args()
unittest.main(argv=sys.argv[:1])
