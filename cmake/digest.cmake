# cmake -DOUT=file.c -DHEADER=path -DNAME=variable -DFILES=a;b -P digest.cmake: a constant with a digest of the files' contents.
set(all "")
foreach(file IN LISTS FILES)
    file(SHA256 ${file} digest)
    string(APPEND all ${digest})
endforeach()
string(SHA256 digest "${all}")
string(SUBSTRING ${digest} 0 32 digest)
file(WRITE ${OUT} "#include \"${HEADER}\"\n\nconst char ${NAME}[] = \"${digest}\";\n")
