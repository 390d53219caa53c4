import sys

print("usage: ferry [-h] {serve,list} ...")
sys.exit(2)
