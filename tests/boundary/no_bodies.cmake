# Run by ctest: the object file of a program that makes a manager has none of its bodies, which are
# compiled once for all files. A single one would make ROOST_SEPARATE_COMPILATION slow again.
execute_process(COMMAND "${NM}" -C --defined-only "${OBJECT}"
  OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
if(NOT symbols MATCHES " T main\n")
  message(FATAL_ERROR "${OBJECT} is no program")
endif()
string(REGEX MATCH "[^\n]*(ManagerState<|Connection(Manager)?<roost::testing::FakeWebSocket>::)[^\n]*"
  body "${symbols}")
if(body)
  message(FATAL_ERROR "${OBJECT} has a body of its own: ${body}")
endif()
