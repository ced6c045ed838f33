; run: raise
graph @g(%x: i32[4,1], %f: f32[4,1]) -> (%a, %b, %c, %d) {
  %w = const [1,2,3,inf,5,6] : f32[3,2]
  %k = const [0,1,2] : i32[3]
  %1 = equal %x, %k : bool[4,3] from "Equal"
  %2 = cast %1 : f32[4,3] from "Cast"
  %a = matmul %2, %w : f32[4,2] from "infinite"
  %v = const [1,2,3,4,5,6] : f32[3,2]
  %l = const [0,2,1] : i32[3]
  %3 = equal %x, %l : bool[4,3] from "Equal_1"
  %4 = cast %3 : f32[4,3] from "Cast_1"
  %b = matmul %4, %v : f32[4,2] from "in another order"
  %two = const 2 : f32[]
  %zero = const 0 : f32[]
  %5 = where %1, %two, %zero : f32[4,3] from "Where"
  %c = matmul %5, %v : f32[4,2] from "no one"
  %m = const [0,1,2] : f32[3]
  %6 = equal %f, %m : bool[4,3] from "Equal_2"
  %7 = cast %6 : f32[4,3] from "Cast_2"
  %d = matmul %7, %v : f32[4,2] from "floats"
}
; --- infinity times 0 is no number; rows in another order; what is not 1; what does not count
graph @g(%x: i32[4,1], %f: f32[4,1]) -> (%a, %b, %c, %d) {
  %w = const [1,2,3,inf,5,6] : f32[3,2]
  %k = const [0,1,2] : i32[3]
  %1 = equal %x, %k : bool[4,3] from "Equal"
  %2 = cast %1 : f32[4,3] from "Cast"
  %a = matmul %2, %w : f32[4,2] from "infinite"
  %v = const [1,2,3,4,5,6] : f32[3,2]
  %l = const [0,2,1] : i32[3]
  %3 = equal %x, %l : bool[4,3] from "Equal_1"
  %4 = cast %3 : f32[4,3] from "Cast_1"
  %b = matmul %4, %v : f32[4,2] from "in another order"
  %two = const 2 : f32[]
  %zero = const 0 : f32[]
  %5 = where %1, %two, %zero : f32[4,3] from "Where"
  %c = matmul %5, %v : f32[4,2] from "no one"
  %m = const [0,1,2] : f32[3]
  %6 = equal %f, %m : bool[4,3] from "Equal_2"
  %7 = cast %6 : f32[4,3] from "Cast_2"
  %d = matmul %7, %v : f32[4,2] from "floats"
}
