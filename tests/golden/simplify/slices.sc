; run: simplify
; idempotent
graph @g(%x: f32[n,8], %s: f32[s]) -> (%a, %b, %c, %d) {
  %1 = slice %x {starts = [2], ends = [2147483647], axes = [0]} : f32[max(n-2,0),8] from "1"
  %2 = slice %1 {starts = [1], ends = [-1], axes = [0]} : f32[max(n-4,0),8] from "2"
  %3 = slice %2 {starts = [1], ends = [4], axes = [1]} : f32[max(n-4,0),3] from "3"
  %4 = slice %3 {starts = [-2], ends = [9223372036854775807], axes = [-1]} : f32[max(n-4,0),2] from "4"
  %a = exp %4 : f32[max(n-4,0),2] from "a"
  %5 = slice %x {starts = [0], ends = [-2], axes = [0]} : f32[max(n-2,0),8] from "5"
  %6 = slice %5 {starts = [0], ends = [3], axes = [0]} : f32[min(3,max(n-2,0)),8] from "6"
  %b = exp %6 : f32[min(3,max(n-2,0)),8] from "b"
  %7 = slice %x {starts = [0], ends = [8], axes = [1], steps = [2]} : f32[n,4] from "7"
  %8 = slice %7 {starts = [1], ends = [3], axes = [1]} : f32[n,2] from "8"
  %c = exp %8 : f32[n,2] from "c"
  %9 = slice %s {starts = [-1], ends = [-9223372036854775807], axes = [0], steps = [-1]} : f32[s] from "9"
  %10 = slice %9 {starts = [-1], ends = [-9223372036854775807], axes = [0], steps = [-1]} : f32[s] from "10"
  %d = exp %10 : f32[s] from "d"
}
; --- one slice where its bounds can be said; an end cannot be counted from another end; two turns are none
graph @g(%x: f32[n,8], %s: f32[s]) -> (%a, %b, %c, %d) {
  guard n <= 2147483647 : "the extent and a slice's bound" from "1"
  %4 = slice %x {starts = [3,2], ends = [-1,4], axes = [0,1]} : f32[max(n-4,0),2] from "4"
  %a = exp %4 : f32[max(n-4,0),2] from "a"
  %6 = slice %x {starts = [0], ends = [-2], axes = [0]} : f32[max(n-2,0),8] from "5"
  %7 = slice %6 {starts = [0], ends = [3], axes = [0]} : f32[min(max(n-2,0),3),8] from "6"
  %b = exp %7 : f32[min(max(n-2,0),3),8] from "b"
  %9 = slice %x {starts = [0], ends = [8], axes = [1], steps = [2]} : f32[n,4] from "7"
  %10 = slice %9 {starts = [1], ends = [3], axes = [1]} : f32[n,2] from "8"
  %c = exp %10 : f32[n,2] from "c"
  %d = exp %s : f32[s] from "d"
}
