# Makes prometheus-cpp::core where prometheus-cpp is installed. Its CMake package asks for what its
# other parts need, in Debian more than there is: then header and library are enough.
if(NOT TARGET prometheus-cpp::core)
  find_path(ROOST_PROMETHEUS_INCLUDE_DIR prometheus/collectable.h)
  find_library(ROOST_PROMETHEUS_LIBRARY prometheus-cpp-core)
  mark_as_advanced(ROOST_PROMETHEUS_INCLUDE_DIR ROOST_PROMETHEUS_LIBRARY)
  if(ROOST_PROMETHEUS_INCLUDE_DIR AND ROOST_PROMETHEUS_LIBRARY)
    add_library(prometheus-cpp::core UNKNOWN IMPORTED)
    set_target_properties(prometheus-cpp::core PROPERTIES
      IMPORTED_LOCATION "${ROOST_PROMETHEUS_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${ROOST_PROMETHEUS_INCLUDE_DIR}")
  endif()
endif()
