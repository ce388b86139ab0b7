# Options for roost's own tests and examples only; users of the library see none of them.

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_EXTENSIONS OFF)
  # There are none, and files that are looked through for them are not compiled together.
  set(CMAKE_CXX_SCAN_FOR_MODULES OFF)

  find_program(ROOST_CCACHE ccache)
  mark_as_advanced(ROOST_CCACHE)
  if(ROOST_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${ROOST_CCACHE}")
  endif()
endif()

set(gcc "$<CXX_COMPILER_ID:GNU>")
set(clang "$<CXX_COMPILER_ID:Clang,AppleClang>")

# That a warning is an error is the presets' choice (CMAKE_COMPILE_WARNING_AS_ERROR): `release` is
# built by people with compilers newer than ours.
add_library(roost_warnings INTERFACE)
target_compile_options(roost_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  # g++ 12 takes the frames of optimised coroutines for a mismatch.
  $<${gcc}:-Wno-mismatched-new-delete>)

add_library(roost_dev_flags INTERFACE)
target_link_libraries(roost_dev_flags INTERFACE roost_warnings)

if(ROOST_SANITIZE)
  # -O0: a file that includes Beast takes twice as long to build with -O1. -g1 is enough for a
  # stack trace.
  target_compile_options(roost_dev_flags INTERFACE
    -fsanitize=${ROOST_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O0 -g1)
  target_link_options(roost_dev_flags INTERFACE -fsanitize=${ROOST_SANITIZE})
  # Most of the time goes to machine code. ASan's checks are calls rather than code at every access;
  # std::move and std::forward are casts rather than functions; and the compiler does not look for
  # garbage in its memory before it has 1 GB of it.
  target_compile_options(roost_dev_flags INTERFACE
    "$<${gcc}:SHELL:--param asan-instrumentation-with-call-threshold=0>"
    "$<${gcc}:SHELL:--param ggc-min-heapsize=1000000>"
    $<$<AND:${gcc},$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,12>>:-ffold-simple-inlines>)

  if(ROOST_SANITIZE MATCHES "thread")
    # g++ says that TSan does not know atomic_thread_fence, which Asio uses.
    target_compile_options(roost_dev_flags INTERFACE $<${gcc}:-Wno-tsan>)
  endif()
  if(ROOST_SANITIZE MATCHES "undefined")
    # Checks of every access, with which a file takes twice as long to build. ASan finds the same
    # faults at address 0 too; the fuzzers have all checks. That of the dynamic type opens a pipe to
    # look at memory: without free descriptors, which a test has, it takes every object for a wrong one.
    target_compile_options(roost_dev_flags INTERFACE -fno-sanitize=null,alignment,object-size,vptr)
    # clang's check of function pointers does not understand coroutines.
    target_compile_options(roost_dev_flags INTERFACE $<${clang}:-fno-sanitize=function>)
  endif()
endif()

# roost_require(<who> <option> <component>...): ends with what is missing, and how to do without <who>.
function(roost_require who option)
  set(all "")
  foreach(component IN LISTS ARGN)
    roost_find_dependencies(${component} missing)
    if(missing)
      list(APPEND all "roost::${component}: ${missing}")
    endif()
  endforeach()
  if(all)
    list(JOIN all "\n  " all)
    message(FATAL_ERROR "${who} need\n  ${all}\nor ${option}=OFF")
  endif()
endfunction()
