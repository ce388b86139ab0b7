# Run by ctest: the object file of a program that uses a manager has none of its bodies but member
# templates; the others are compiled once for all files. A single one would make
# ROOST_SEPARATE_COMPILATION slow again.
execute_process(COMMAND "${NM}" -C --defined-only "${OBJECT}"
  OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
if(NOT symbols MATCHES " T main\n")
  message(FATAL_ERROR "${OBJECT} is no program")
endif()
set(member "Connection(Manager)?<roost::testing::FakeWebSocket>::[A-Za-z_~]+\\(")
string(REGEX MATCH "[^\n]*(ManagerState<|FanOut<|${member})[^\n]*" body "${symbols}")
if(body)
  message(FATAL_ERROR "${OBJECT} has a body of its own: ${body}")
endif()
