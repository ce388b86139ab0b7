# Makes hiredis::hiredis where hiredis is installed. Version 1 has a CMake package that brings the
# target; version 0.14, Debian 12's, has header and library only.
if(NOT TARGET hiredis::hiredis)
  find_package(hiredis CONFIG QUIET)
endif()
if(NOT TARGET hiredis::hiredis)
  find_path(ROOST_HIREDIS_INCLUDE_DIR hiredis/hiredis.h)
  find_library(ROOST_HIREDIS_LIBRARY hiredis)
  mark_as_advanced(ROOST_HIREDIS_INCLUDE_DIR ROOST_HIREDIS_LIBRARY)
  if(ROOST_HIREDIS_INCLUDE_DIR AND ROOST_HIREDIS_LIBRARY)
    add_library(hiredis::hiredis UNKNOWN IMPORTED)
    set_target_properties(hiredis::hiredis PROPERTIES
      IMPORTED_LOCATION "${ROOST_HIREDIS_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${ROOST_HIREDIS_INCLUDE_DIR}")
  endif()
endif()
