"""Conan 2: conan create <roost>/cmake/packaging/conan -o 'roost/*:redis=True'"""

import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy

TOP = Path("..", "..", "..")  # from the recipe to the project


class RoostConan(ConanFile):
    name = "roost"
    description = "Rooms, broadcast and backpressure for Boost.Beast WebSocket servers"
    license = "MIT"
    topics = ("websocket", "asio", "beast", "redis", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {name: [True, False] for name in ("tls", "redis", "prometheus", "spdlog")}
    default_options = {name: False for name in options}
    no_copy_source = True

    def set_version(self):
        header = Path(self.recipe_folder, TOP, "include", "roost", "version.hpp").read_text()
        self.version = ".".join(re.findall(r"define ROOST_VERSION_\w+ (\d+)", header))

    def export_sources(self):
        project = Path(self.recipe_folder, TOP).resolve()
        for pattern in ("include/roost/*", "LICENSE"):
            copy(self, pattern, src=str(project), dst=self.export_sources_folder)

    def requirements(self):
        headers = {"transitive_headers": True, "transitive_libs": True}
        self.requires("boost/[>=1.81 <2]", options={"header_only": True}, **headers)
        self.requires("nlohmann_json/[>=3.9 <4]", **headers)
        if self.options.tls or self.options.redis:
            self.requires("openssl/[>=3 <4]", **headers)
        if self.options.redis:
            self.requires("hiredis/[>=0.14 <2]", **headers)
        if self.options.prometheus:
            self.requires("prometheus-cpp/[>=1.0 <2]", **headers)
        if self.options.spdlog:
            self.requires("spdlog/[>=1.10 <2]", **headers)

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.settings.clear()  # headers only; the options choose what is required

    def package(self):
        copy(self, "include/roost/*", src=self.source_folder, dst=self.package_folder)
        copy(self, "LICENSE", src=self.source_folder, dst=str(Path(self.package_folder, "licenses")))

    def package_info(self):
        self._component("core", "roost", ["boost::headers", "nlohmann_json::nlohmann_json"])
        self.cpp_info.components["core"].includedirs = ["include"]
        self.cpp_info.components["core"].system_libs = ["pthread"]
        self._component("beast", "beast", ["core"])
        self._component("testing", "testing", ["core"])
        if self.options.tls or self.options.redis:
            self._component("beast_tls", "beast_tls", ["beast", "openssl::ssl"])
        if self.options.redis:
            self._component("redis", "redis", ["core", "hiredis::hiredis", "openssl::ssl"])
        if self.options.prometheus:
            self._component(
                "prometheus", "prometheus", ["core", "prometheus-cpp::prometheus-cpp-core"]
            )
        if self.options.spdlog:
            self._component("spdlog", "spdlog", ["core", "spdlog::spdlog"])

    def _component(self, name, target, requires):
        component = self.cpp_info.components[name]
        component.set_property("cmake_target_name", f"roost::{target}")
        module = "roost" if name == "core" else f"roost-{name.replace('_', '-')}"
        component.set_property("pkg_config_name", module)
        component.includedirs = []
        component.libdirs = []
        component.bindirs = []
        component.requires = requires
