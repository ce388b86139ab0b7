# The library: header-only targets. What links them is all that a user needs to know.

include("${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake")

# roost_library(<name> <exported name> HEADERS <pattern>... LINK <target>...)
# The headers are a file set, to be installed. What may be compiled separately is another set:
# installed too, but no header on its own.
function(roost_library name exported)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "HEADERS;LINK")
  set(include_dir "${PROJECT_SOURCE_DIR}/include")
  list(TRANSFORM arg_HEADERS PREPEND "${include_dir}/roost/")
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${arg_HEADERS})

  # All targets share one directory: the core leaves out what belongs to an adapter.
  if(name STREQUAL "roost")
    list(FILTER headers EXCLUDE REGEX "/include/roost/((beast|prometheus|redis|spdlog|testing)(/|\\.hpp$))")
  elseif(name STREQUAL "roost_beast")
    list(FILTER headers EXCLUDE REGEX "/beast/((detail/|impl/)?tls[a-z_]*)\\.[hi]pp$")
  endif()
  set(compiled "${headers}")
  list(FILTER compiled INCLUDE REGEX "(src\\.hpp|\\.ipp)$")
  list(FILTER headers EXCLUDE REGEX "(src\\.hpp|\\.ipp)$")

  add_library(${name} INTERFACE)
  add_library(roost::${exported} ALIAS ${name})
  set_target_properties(${name} PROPERTIES EXPORT_NAME ${exported})
  target_sources(${name} INTERFACE
    FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${headers}
    FILE_SET compiled TYPE HEADERS BASE_DIRS "${include_dir}" FILES ${compiled})
  target_compile_features(${name} INTERFACE cxx_std_20)
  target_link_libraries(${name} INTERFACE ${arg_LINK})
endfunction()

roost_find_dependencies(core missing)
if(missing)
  message(FATAL_ERROR "roost needs what is not here: ${missing}")
endif()
roost_library(roost roost
  HEADERS *.hpp *.ipp
  LINK Boost::headers nlohmann_json::nlohmann_json Threads::Threads)

roost_library(roost_beast beast
  HEADERS beast.hpp beast/*.hpp beast/*.ipp
  LINK roost::roost)

# roost_optional_library(<component> HEADERS <pattern>... LINK <target>...): where what it needs is
# there.
function(roost_optional_library component)
  roost_find_dependencies(${component} missing)
  if(missing)
    message(STATUS "There is no roost::${component} without ${missing}")
  else()
    roost_library(roost_${component} ${component} ${ARGN})
  endif()
endfunction()

# Users of plain TCP neither include nor link OpenSSL.
roost_optional_library(beast_tls
  HEADERS beast/tls*.hpp beast/tls*.ipp
  LINK roost::beast OpenSSL::SSL)

# The Redis backplane: a real Redis is spoken to by TLS too.
roost_optional_library(redis
  HEADERS redis.hpp redis/*.hpp
  LINK roost::roost hiredis::hiredis OpenSSL::SSL)

# Metrics, and a log that is there already.
roost_optional_library(prometheus
  HEADERS prometheus.hpp prometheus/*.hpp
  LINK roost::roost prometheus-cpp::core)
roost_optional_library(spdlog
  HEADERS spdlog.hpp
  LINK roost::roost spdlog::spdlog)

roost_library(roost_testing testing
  HEADERS testing.hpp testing/*.hpp testing/*.ipp
  LINK roost::roost)
