import argparse
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--times", type=int, default=1)
parser.add_argument("word")
args = parser.parse_args()
print(" ".join([args.word] * args.times))
print(len(sys.argv))
