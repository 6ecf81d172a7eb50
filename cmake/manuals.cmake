# cmake -DTENON=program -DOUT=dir -P manuals.cmake: the man pages, one of the program and one a command, into OUT.
execute_process(COMMAND ${TENON} help OUTPUT_VARIABLE help COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "\n  [a-z]+ " commands "${help}")
file(MAKE_DIRECTORY ${OUT})
execute_process(COMMAND ${TENON} help --man OUTPUT_FILE ${OUT}/tenon.1 COMMAND_ERROR_IS_FATAL ANY)
foreach(command IN LISTS commands)
    string(STRIP "${command}" command)
    execute_process(COMMAND ${TENON} help ${command} --man OUTPUT_FILE ${OUT}/tenon-${command}.1 COMMAND_ERROR_IS_FATAL ANY)
endforeach()
